//! The settings of a node: a `server.properties`.

use std::path::Path;

use crate::{
    cluster::Ports,
    security::{Certificates, PASSWORD, STRANGER, STRANGER_PASSWORD, USER},
};

/// Everything a node must be told. `number` counts from 0; Kafka counts its nodes from 1.
pub(crate) fn of_node(
    number: usize,
    ports: &[Ports],
    data: &Path,
    certificates: Option<&Certificates>,
    more: &[(String, String)],
) -> String {
    let nodes = ports.len();
    let own = &ports[number];
    let voters: Vec<_> = ports
        .iter()
        .enumerate()
        .map(|(number, ports)| format!("{}@127.0.0.1:{}", number + 1, ports.controller.number))
        .collect();
    let mut listeners = format!("PLAIN://127.0.0.1:{}", own.plain.number);
    if let Some(port) = &own.secure {
        listeners += &format!(",SECURE://127.0.0.1:{}", port.number);
    }
    let advertised = listeners.clone();
    let copies = nodes.min(3);
    let needed = if copies == 3 { 2 } else { 1 };
    let mut text = format!(
        "\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
inter.broker.listener.name=PLAIN
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={needed}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={needed}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={needed}
group.coordinator.rebalance.protocols=classic,consumer
# Nothing waits for others that might come, and what is dead is noticed soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
# It runs beside everything else that a test starts.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
background.threads=2
",
        id = number + 1,
        voters = voters.join(","),
        controller = own.controller.number,
        data = data.display(),
    );
    if let Some(certificates) = certificates {
        text += &secure(certificates);
    }
    // Of two lines with one name Java takes the later.
    for (name, value) in more {
        text += &format!("{name}={value}\n");
    }
    text
}

fn secure(certificates: &Certificates) -> String {
    format!(
        "\
ssl.keystore.type=PEM
ssl.keystore.location={server}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{USER}=\"{PASSWORD}\" user_{STRANGER}=\"{STRANGER_PASSWORD}\";
listener.name.secure.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# Nodes and whoever comes to the plain listener are anonymous.
super.users=User:{USER};User:ANONYMOUS
",
        server = certificates.server.display(),
    )
}
