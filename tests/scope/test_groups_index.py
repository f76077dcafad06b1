"""The groups index behaves as a plain dictionary of dictionaries, whatever the sizes."""

from hypothesis import given
from hypothesis import strategies as st

from tokenone.scope.groups import Groups

actions = st.lists(
    st.tuples(st.sampled_from(["put", "drop"]), st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 9))
)


@given(actions)
def test_groups_hold_what_was_put_and_not_dropped(history: list) -> None:
    groups: Groups[str, int, int] = Groups()
    model: dict[str, dict[int, int]] = {"a": {}, "b": {}}
    for action, group, member, value in history:
        if action == "put":
            groups.put(group, member, value)
            model[group][member] = value
        else:
            groups.drop(group, member)
            model[group].pop(member, None)
        for name, members in model.items():
            assert sorted(groups.of(name)) == sorted(members.values())
