"""5G messages of China Telecom and China Unicom."""
