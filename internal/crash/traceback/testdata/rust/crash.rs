// Ends in the way its argument names.
use std::{env, panic, thread};

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

#[allow(unconditional_recursion)]
fn overflow(n: u64) -> u64 {
    let room = [n; 64];
    overflow(n + 1) + room[(n % 64) as usize]
}

extern "C" fn no_unwind() {
    panic!("where nothing may unwind");
}

fn main() {
    eprintln!("ordinary line before: thread 'main' panicked is only words here");
    match env::args().nth(1).unwrap().as_str() {
        "panic" => panic!("boom"),
        "multiline" => panic!("first line\nsecond line\n  third line"),
        "unwrap" => {
            let r: Result<u32, std::num::ParseIntError> = "x".parse::<u32>();
            r.unwrap();
        }
        "asserteq" => assert_eq!(1 + 1, 3, "sums"),
        "index" => {
            let v = vec![1, 2, 3];
            let n = env::args().count() + 5;
            println!("{}", v[n]);
        }
        "threads" => {
            for n in 0..2 {
                let t = thread::Builder::new().name(format!("worker {n}"));
                let _ = t.spawn(move || panic!("in thread {n}")).unwrap().join();
            }
            eprintln!("ordinary line after");
        }
        "caught" => {
            let _ = panic::catch_unwind(|| panic!("survived"));
            eprintln!("ordinary line after");
        }
        "destructor" => {
            let _bomb = Bomb;
            panic!("first");
        }
        "nounwind" => no_unwind(),
        "overflow" => println!("{}", overflow(0)),
        "memory" => println!("{}", Vec::<u8>::with_capacity(isize::MAX as usize).len()),
        _ => std::process::exit(99),
    }
}
