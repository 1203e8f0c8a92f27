"""What several folders of tests share: real servers, agents and databases as processes."""
