"""Variables of projects, applications and environments, by level."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import delete

from boreas.domain.variables import Variable
from boreas.store import dialects, shelves
from boreas.store.nouns import SqlNoun
from boreas.store.unit import Unit


class SqlVariables(SqlNoun[Variable]):
    """Variables by name, within the id of the level that owns them."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.VARIABLES)

    async def of_levels(self, owner_ids: Collection[str]) -> Mapping[str, Sequence[Variable]]:
        """The variables of several levels in one query; a level without any has an empty list."""
        dialect, owner = self._connection.dialect.name, self._table.c.owner_id
        query = self._once(
            "of levels",
            lambda: (
                self._select()
                .where(dialects.one_of(dialect, owner, "owners"))
                .order_by(*self._sort_columns())
            ),
        )
        asked = {"owners": dialects.listed(self._connection, owner_ids)}
        found: dict[str, list[Variable]] = {owner: [] for owner in owner_ids}
        for variable in await self._values(query, asked):
            found[variable.owner_id].append(variable)
        return found

    async def replace(self, owner_id: str, variables: Sequence[Variable]) -> None:
        """Make these the level's whole list; those that stay keep their ids."""
        present: dict[str, Variable] = {it.id: it for it in await self.all(within=owner_id)}
        kept = {it.id for it in variables}
        gone = [id_ for id_ in present if id_ not in kept]
        await self._connection.execute(delete(self._table).where(self._table.c.id.in_(gone)))
        for each in variables:
            if each.id not in present:
                await self.add(each)
            elif each != present[each.id]:
                await self.change(each)
