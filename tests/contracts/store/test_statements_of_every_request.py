"""What goes past SQLAlchemy on SQLite is asked once, kept once, and hidden from no listener."""

from pathlib import Path

from sqlalchemy import event

from boreas.store import SqlStore, plain_reads


async def test_somebody_who_listens_to_statements_misses_none(tmp_path: Path) -> None:
    async with SqlStore.open(None, tmp_path) as store:
        seen: list[str] = []

        def note(_c: object, _u: object, statement: str, *_: object) -> None:
            seen.append(statement)

        async with store.reading() as tx:
            await tx.agents.among({"agt_1"})
        event.listen(store._engine.sync_engine, "before_cursor_execute", note)
        async with store.reading() as tx:
            await tx.agents.among({"agt_1"})
    assert [text for text in seen if "FROM agents" in text]


async def test_a_list_of_any_length_is_one_statement(tmp_path: Path) -> None:
    async with SqlStore.open(None, tmp_path) as store, store.reading() as tx:
        await tx.variables.of_levels(["prj_1"])
        await tx.agents.with_key("a")
        await tx.agents.among({"agt_1"})
        known = len(plain_reads._compiled)
        await tx.variables.of_levels(["prj_1", "app_1", "env_1"])
        await tx.agents.with_key("b")
        await tx.agents.among({f"agt_{number}" for number in range(700)})
    assert len(plain_reads._compiled) == known
