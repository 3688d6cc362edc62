// rustc -g -o camera camera.rs
use std::os::unix::net::UnixDatagram;
use std::{env, path::Path, thread, time::Duration};

// notify is sd_notify(3) without libsystemd.
fn notify(state: &str) {
    if let Some(path) = env::var_os("NOTIFY_SOCKET") {
        if let Ok(socket) = UnixDatagram::unbound() {
            let _ = socket.send_to(state.as_bytes(), path);
        }
    }
}

fn capture(frame: u32, sensors: &[u32]) {
    println!("frame {frame} of sensor {}{{{{frames}}}}{{{{__healthpool__frames_beats}}}}", sensors[0]);
}

fn main() {
    println!("camera starts{{{{temperature:42}}}}");
    eprintln!("WARNING: sensor is warm");
    notify("READY=1");
    for frame in 1.. {
        let sensors: &[u32] = if Path::new("crash").exists() { &[] } else { &[1] };
        capture(frame, sensors);
        notify("WATCHDOG=1");
        thread::sleep(Duration::from_millis(100));
    }
}
