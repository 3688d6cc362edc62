// An index out of bounds.
mod deep {
    pub struct Shelf;

    impl Shelf {
        #[inline(never)]
        pub fn take(&self, v: &[i32], i: usize) -> i32 {
            v[i]
        }
    }

    #[inline(never)]
    pub fn call<F: Fn(usize) -> i32>(f: F) -> i32 {
        f(10) + 1
    }
}

fn main() {
    let v = vec![1, 2, 3];
    let s = deep::Shelf;
    println!("{}", deep::call(|i| s.take(&v, i)));
}
