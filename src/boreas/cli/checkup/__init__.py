"""What `boreas doctor` looks at; each check says what it found and the mend."""
