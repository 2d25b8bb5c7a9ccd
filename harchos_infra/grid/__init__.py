"""Carbon intensity per grid zone and hour."""
