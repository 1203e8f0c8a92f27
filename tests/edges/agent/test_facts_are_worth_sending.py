"""Facts go out first, then only when a person would want to see the difference."""

from boreas.agent.deployed import DeployedProcesses
from boreas.agent.facts import FactsBoard, changed_enough, changing_facts, fixed_facts

BASE = {
    "host": "n1",
    "load": [0.5, 0.4, 0.3],
    "memory_total": 1000,
    "memory_available": 500,
    "disk_total": 1000,
    "disk_free": 500,
    "processes": [{"pid": 1, "cpu_percent": 1.0, "rss": 100, "age_seconds": 1}],
}


def test_the_first_facts_are_sent_once():
    board = FactsBoard()
    assert board.news() is None

    board.put(BASE)

    assert board.news() == BASE
    assert board.news() is None


def test_a_new_link_gets_them_again():
    board = FactsBoard()
    board.put(BASE)
    board.news()

    board.send_again()

    assert board.news() == BASE


def test_noise_is_not_sent():
    breathing = {
        **BASE,
        "load": [0.8, 0.4, 0.3],
        "memory_available": 520,
        "disk_free": 490,
        "processes": [{"pid": 1, "cpu_percent": 4.0, "rss": 110, "age_seconds": 30}],
    }

    assert not changed_enough(BASE, breathing)


def test_a_real_change_is_sent():
    for change in (
        {"load": [1.5, 0.4, 0.3]},
        {"memory_available": 400},
        {"disk_free": 100},
        {"processes": []},
        {"processes": [{"pid": 2, "cpu_percent": 1.0, "rss": 100, "age_seconds": 1}]},
        {"host": "n2"},
        {"docker": {"version": "27"}},
    ):
        assert changed_enough(BASE, {**BASE, **change}), change


def test_this_nodes_facts_are_complete(tmp_path):
    facts = {**fixed_facts(), **changing_facts(tmp_path)}

    assert facts["cpu_count"] >= 1
    assert facts["boot_time"] > 0
    assert facts["disk_total"] >= facts["disk_free"] > 0
    assert facts["memory_total"] > 0
    assert len(facts["load"]) == 3


def test_processes_of_others_are_not_shown(tmp_path):
    assert DeployedProcesses(tmp_path).look() == []
