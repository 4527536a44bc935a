mod words;

fn main() {
    println!("{}", words::GREETING);
}
