//! Videos, made and taken apart by ffmpeg.

use std::{path::Path, process::Command};

/// A video of noise and tones, with more about the codecs and the container.
pub fn video(folder: &Path, name: &str, arguments: &str) -> Vec<u8> {
    video_of(folder, name, 3, arguments)
}

/// A video of so many seconds.
pub fn video_of(folder: &Path, name: &str, seconds: u32, arguments: &str) -> Vec<u8> {
    let picture = format!("testsrc=size=160x120:rate=25:duration={seconds}");
    let left = "0.4*sin(440*2*PI*t)+0.1*sin(3000*t*t)";
    let sound = format!("aevalsrc={left}|0.3*sin(660*2*PI*t):s=44100:d={seconds}");
    let path = folder.join(name);
    let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y"]).args(inputs);
    command.args(arguments.split_whitespace()).arg(&path);
    run(&mut command);
    std::fs::read(path).expect("what ffmpeg made")
}

/// The packets of the sound in a file, without what the container adds.
pub fn sound_packets(folder: &Path, name: &str, content: &[u8]) -> Vec<u8> {
    taken(folder, name, content, &["-c", "copy", "-f", "data"])
}

/// The sound in a file, decoded to 16 bits a sample.
pub fn sound_samples(folder: &Path, name: &str, content: &[u8]) -> Vec<i16> {
    let decoded = taken(folder, name, content, &["-f", "s16le"]);
    let samples = decoded.as_chunks().0.iter();
    samples.map(|sample| i16::from_le_bytes(*sample)).collect()
}

/// What `ffprobe` says of the only stream of a file: codec, rate, channels.
pub fn probe(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("writing");
    let entries = "stream=codec_name,sample_rate,channels";
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0"]);
    let said = run(command.arg(path));
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn taken(folder: &Path, name: &str, content: &[u8], arguments: &[&str]) -> Vec<u8> {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("writing");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(path);
    run(command.args(["-map", "0:a:0"]).args(arguments).arg("-"))
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .expect("ffmpeg, which scripts/setup installs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}
