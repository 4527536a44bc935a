pub const GREETING: &str = include_str!("greeting.txt");
