use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").expect("PORT");
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    let body = "Hello from Rust\n";
    let mut number = itoa::Buffer::new();
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut head = BufReader::new(stream.try_clone()?).lines();
        while matches!(head.next(), Some(Ok(line)) if !line.is_empty()) {}
        let length = number.format(body.len());
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    }
    Ok(())
}
