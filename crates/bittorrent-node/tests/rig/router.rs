//! A router that answers as miniupnpd does, on loopback.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

/// What the router was told to hand on: protocol and port outside, to where.
pub(crate) type Table = Arc<Mutex<BTreeMap<(String, u16), SocketAddr>>>;

const DEVICE: &str = r#"<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">
<specVersion><major>1</major><minor>0</minor></specVersion><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>
<deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/WANIPCn.xml</SCPDURL>
<controlURL>/ctl/IPConn</controlURL><eventSubURL>/evt/IPConn</eventSubURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>"#;

fn description() -> String {
    let action = |name: &str, arguments: &[&str]| {
        let argument =
            |name: &&str| format!("<argument><name>{name}</name><direction>in</direction></argument>");
        let arguments: String = arguments.iter().map(argument).collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let where_to = ["NewRemoteHost", "NewExternalPort", "NewProtocol"];
    let add = [
        &where_to[..],
        &[
            "NewInternalPort",
            "NewInternalClient",
            "NewEnabled",
            "NewPortMappingDescription",
            "NewLeaseDuration",
        ],
    ]
    .concat();
    format!(
        "<?xml version=\"1.0\"?><scpd xmlns=\"urn:schemas-upnp-org:service-1-0\"><actionList>{}{}</actionList></scpd>",
        action("AddPortMapping", &add),
        action("DeletePortMapping", &where_to)
    )
}

/// A router that is searched for at the address it gives.
pub(crate) fn router() -> (SocketAddr, Table) {
    let search = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let web = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (search_at, web_at) = (search.local_addr().expect("bound"), web.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((octets, from)) = search.recv_from(&mut buffer) {
            let asked = String::from_utf8_lossy(&buffer[..octets]).into_owned();
            assert!(asked.starts_with("M-SEARCH * HTTP/1.1\r\n"), "{asked}");
            let answer = format!("HTTP/1.1 200 OK\r\nLOCATION: http://{web_at}/rootDesc.xml\r\n\r\n");
            let _ = search.send_to(answer.as_bytes(), from);
        }
    });
    let table = Table::default();
    let shared = table.clone();
    std::thread::spawn(move || {
        for stream in web.incoming().flatten() {
            let table = shared.clone();
            std::thread::spawn(move || answer(stream, &table));
        }
    });
    (search_at, table)
}

fn answer(mut stream: TcpStream, table: &Table) {
    let mut reader = BufReader::new(stream.try_clone().expect("the same"));
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    let _ = reader.read_line(&mut first);
    while reader.read_line(&mut line).is_ok_and(|octets| octets > 2) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let body = String::from_utf8(body).expect("text");
    let field = |name: &str| -> String {
        let (_, rest) = body.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name}: {body}"));
        rest.split('<').next().unwrap_or_default().to_owned()
    };
    let outside = || (field("NewProtocol"), field("NewExternalPort").parse::<u16>().expect("a port"));
    let said = if first.contains("/rootDesc.xml") {
        DEVICE.to_owned()
    } else if first.contains("/WANIPCn.xml") {
        description()
    } else {
        let inner = if body.contains("GetExternalIPAddress") {
            "<u:GetExternalIPAddressResponse xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"><NewExternalIPAddress>192.0.2.7</NewExternalIPAddress></u:GetExternalIPAddressResponse>"
        } else if body.contains("DeletePortMapping") {
            table.lock().expect("not poisoned").remove(&outside());
            "<u:DeletePortMappingResponse xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"/>"
        } else {
            assert_eq!(field("NewLeaseDuration"), "3600");
            let inside = format!("{}:{}", field("NewInternalClient"), field("NewInternalPort"));
            let inside = inside.parse().expect("an address");
            table.lock().expect("not poisoned").insert(outside(), inside);
            "<u:AddPortMappingResponse xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\"/>"
        };
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{inner}</s:Body></s:Envelope>"
        )
    };
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
        said.len()
    );
}
