"""DingTalk: work notifications, robots to one person, robots of groups."""
