//! What standard clients and proxies send by default, and what they must not be sent.

use crate::wire::Echo;

// The requests are as JDK's `HttpClient`, nginx with the usual upgrade snippet, and HAProxy send them.
const JAVA: &str = "Connection: Upgrade, HTTP2-Settings\r\nHost: localhost:8080\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\
                    Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n";
const NGINX: &str = "Connection: upgrade\r\nHost: backend\r\n";
const NGINX_WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: upgrade\r\nHost: backend\r\n";
const HAPROXY: &str = "host: localhost\r\nx-forwarded-for: 127.0.0.1\r\n";

#[actix_web::test]
async fn a_request_to_change_the_protocol_is_ignored_and_the_connection_is_kept() {
    let echo = Echo::start("", &[]);
    for fields in [JAVA, NGINX, NGINX_WEBSOCKET, HAPROXY] {
        let mut wire = echo.connect().await;
        for number in 0..200 {
            // The body looks like a request to change the protocol, and stays as it is.
            let said = format!("{number} Connection: upgrade, Upgrade: websocket");
            let body = format!("{{\"v\": \"{said}\"}}");
            let length = match number % 2 {
                0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
                _ => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            };
            let request = format!("POST /flows/echo HTTP/1.1\r\n{fields}Content-Type: application/json\r\n{length}");
            // In two parts, of which the first ends anywhere.
            let (first, second) = request.split_at(number % request.len());
            wire.send(first).await;
            wire.send(second).await;
            let reply = wire.reply().await;
            assert_eq!(reply.status, 200, "{number}: {reply:?}");
            assert!(reply.body.contains(&said), "{number}: {reply:?}");
            assert!(!reply.head.contains("upgrade") && !reply.head.contains("connection:"), "{number}: {reply:?}");
        }
        // Requests behind each other, sent at once.
        let get = format!("GET /livez HTTP/1.1\r\n{fields}\r\n");
        wire.send(get.repeat(10)).await;
        for _ in 0..10 {
            assert_eq!(wire.reply().await.status, 200);
        }
    }
}

#[actix_web::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let echo = Echo::start("", &[]);
    let lines = "{\"v\": \"a\"}\n{\"v\": \"b\"}\n";
    for fields in ["", "Connection: keep-alive\r\n"] {
        let mut wire = echo.connect().await;
        let head = format!("POST /flows/echo/batch HTTP/1.0\r\n{fields}Content-Type: application/x-ndjson\r\n");
        wire.send(format!("{head}Content-Length: {}\r\n\r\n{lines}", lines.len())).await;
        let reply = wire.reply().await;
        assert_eq!((reply.status, reply.body.lines().count()), (200, 2), "{reply:?}");
        assert!(reply.body.starts_with('{') && !reply.head.contains("transfer-encoding"), "{reply:?}");
        assert!(!reply.head.contains("keep-alive"), "the end of the connection is the end of the answer: {reply:?}");
    }
    // An answer whose length is known leaves the connection to whoever asks for that.
    let mut wire = echo.connect().await;
    for _ in 0..3 {
        wire.send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let reply = wire.reply().await;
        assert!(reply.status == 200 && reply.head.contains("connection: keep-alive"), "{reply:?}");
    }
}
