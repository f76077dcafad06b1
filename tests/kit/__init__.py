"""What the tests of the whole house share: a real installation, its management API, recorded exchanges."""
