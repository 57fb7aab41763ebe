//! Requests as standard clients and proxies send them by default.

use crate::wire::Echo;

// The headers of the JDK's `HttpClient`, nginx with the usual upgrade snippet, and HAProxy.
const JAVA: &str = "Connection: Upgrade, HTTP2-Settings\r\nHost: localhost:8080\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\
                    Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n";
const NGINX: &str = "Connection: upgrade\r\nHost: backend\r\n";
const NGINX_WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: upgrade\r\nHost: backend\r\n";
const HAPROXY: &str = "host: localhost\r\nx-forwarded-for: 127.0.0.1\r\n";

#[actix_web::test]
async fn an_upgrade_is_ignored_and_the_connection_stays_open() {
    let echo = Echo::start("", &[]);
    for fields in [JAVA, NGINX, NGINX_WEBSOCKET, HAPROXY] {
        let mut wire = echo.connect().await;
        for number in 0..200 {
            // The body looks like an upgrade, and is unchanged.
            let text = format!("{number} Connection: upgrade, Upgrade: websocket");
            let body = format!("{{\"v\": \"{text}\"}}");
            let length = match number % 2 {
                0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
                _ => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            };
            let request = format!("POST /flows/echo HTTP/1.1\r\n{fields}Content-Type: application/json\r\n{length}");
            // In two parts, split at varying positions.
            let (first, second) = request.split_at(number % request.len());
            wire.send(first).await;
            wire.send(second).await;
            let reply = wire.reply().await;
            assert_eq!(reply.status, 200, "{number}: {reply:?}");
            assert!(reply.body.contains(&text), "{number}: {reply:?}");
            assert!(!reply.head.contains("upgrade") && !reply.head.contains("connection:"), "{number}: {reply:?}");
        }
        // Pipelined requests.
        let get = format!("GET /livez HTTP/1.1\r\n{fields}\r\n");
        wire.send(get.repeat(10)).await;
        for _ in 0..10 {
            assert_eq!(wire.reply().await.status, 200);
        }
    }
}

#[actix_web::test]
async fn an_http_1_0_client_gets_no_chunked_answer() {
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
    // With a known length the connection stays open where the client requests it.
    let mut wire = echo.connect().await;
    for _ in 0..3 {
        wire.send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let reply = wire.reply().await;
        assert!(reply.status == 200 && reply.head.contains("connection: keep-alive"), "{reply:?}");
    }
}
