//! authfort-testkit
