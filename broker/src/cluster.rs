//! A cluster of one or three nodes, and what tests do with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
};

use tempfile::TempDir;

use crate::{
    error::{Doing, Error},
    jars, java,
    node::Node,
    ports::Port,
    properties,
    security::{Certificates, PASSWORD, STRANGER, STRANGER_PASSWORD, Security, USER},
};

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// One or three; each is broker and controller.
    pub nodes: usize,
    /// Whether there is a listener with TLS and passwords too.
    pub security: Security,
    /// Further lines of `server.properties`; they outweigh the crate's own.
    pub properties: Vec<(String, String)>,
    /// Where the data stays; a temporary folder if it isn't said.
    pub folder: Option<PathBuf>,
    /// The plain listener of the first node, the second's is the next; any free ones if it isn't said.
    pub ports: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 1, security: Security::Plain, properties: Vec::new(), folder: None, ports: None }
    }
}

/// The ports of a node.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) plain: Port,
    pub(crate) secure: Option<Port>,
    pub(crate) controller: Port,
}

/// A running Kafka. It ends when this is dropped, and when the process ends, in whatever way.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    ports: Vec<Ports>,
    certificates: Option<Certificates>,
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Starts a cluster and waits until every node answers.
    ///
    /// # Errors
    ///
    /// If Java, Maven or openssl is missing, a port is taken, or Kafka doesn't start.
    pub fn start(options: Options) -> Result<Self, Error> {
        const ATTEMPTS: usize = 5;
        let mut attempt = 1;
        loop {
            let started = Self::prepare(&options).and_then(|cluster| {
                cluster.start_nodes()?;
                Ok(cluster)
            });
            match started {
                // Somebody took a port between our look and Kafka's.
                Err(error) if options.ports.is_none() && is_about_ports(&error) && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                started => return started,
            }
        }
    }

    /// Everything but the processes.
    pub(crate) fn prepare(options: &Options) -> Result<Self, Error> {
        if ![1, 3].contains(&options.nodes) {
            return Err(Error(format!("a cluster has one node or three, not {}", options.nodes)));
        }
        let temporary = match &options.folder {
            Some(_) => None,
            None => Some(temporary()?),
        };
        let folder = match (&options.folder, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::new(),
        };
        fs::create_dir_all(&folder).doing(format_args!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize().doing(format_args!("cannot find {}", folder.display()))?;
        let secured = options.security == Security::SaslSsl;
        let certificates = if secured { Some(Certificates::below(&folder)?) } else { None };
        let ports = ports(options)?;
        let remove = temporary.as_ref().map(TempDir::path);
        let nodes = nodes(options, &folder, &ports, certificates.as_ref(), remove)?;
        Ok(Self { nodes, ports, certificates, folder, _temporary: temporary })
    }

    fn start_nodes(&self) -> Result<(), Error> {
        self.nodes.iter().try_for_each(Node::start)?;
        self.nodes.iter().try_for_each(Node::wait)
    }

    /// The plain listeners, as clients want them.
    pub fn bootstrap(&self) -> String {
        addresses(self.ports.iter().map(|ports| &ports.plain))
    }

    /// The listeners with TLS and passwords; empty where [`Security::Plain`] was asked for.
    pub fn secure_bootstrap(&self) -> String {
        addresses(self.ports.iter().filter_map(|ports| ports.secure.as_ref()))
    }

    /// The authority that clients of the secure listeners must know, a PEM file.
    pub fn ca(&self) -> PathBuf {
        self.certificates.as_ref().map(|found| found.ca.clone()).unwrap_or_default()
    }

    /// Where the nodes have their data and their logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends a node at once (SIGKILL). Nodes count from 0.
    pub fn kill(&self, node: usize) -> Result<(), Error> {
        self.node(node)?.kill()
    }

    /// Starts a node that was killed, at the same ports and with the same data, and waits until it answers.
    pub fn restart(&self, node: usize) -> Result<(), Error> {
        let node = self.node(node)?;
        node.start()?;
        node.wait()
    }

    /// Runs one of Kafka's tools on this cluster, for example `org.apache.kafka.tools.TopicCommand`.
    pub fn tool(&self, class: &str, args: &[&str]) -> Result<Output, Error> {
        let bootstrap = self.bootstrap();
        java::tool(class, &[&["--bootstrap-server", &bootstrap], args].concat())
    }

    pub(crate) fn node(&self, node: usize) -> Result<&Node, Error> {
        let count = self.nodes.len();
        self.nodes.get(node).ok_or_else(|| Error(format!("there is no node {node}, only 0 to {}", count - 1)))
    }
}

fn temporary() -> Result<TempDir, Error> {
    let parent = jars::home()?.join("run");
    fs::create_dir_all(&parent).doing("cannot create a folder for Kafka's data")?;
    TempDir::new_in(parent).doing("cannot create a folder for Kafka's data")
}

fn ports(options: &Options) -> Result<Vec<Ports>, Error> {
    let of_node = |number: usize| {
        let plain = match options.ports {
            Some(first) => Port::exactly(first.saturating_add(number as u16))?,
            None => Port::any()?,
        };
        let secured = options.security == Security::SaslSsl;
        Ok(Ports { plain, secure: secured.then(Port::any).transpose()?, controller: Port::any()? })
    };
    (0..options.nodes).map(of_node).collect()
}

/// Prepares the nodes side by side: each formatting takes a second.
fn nodes(
    options: &Options,
    folder: &Path,
    ports: &[Ports],
    certificates: Option<&Certificates>,
    remove: Option<&Path>,
) -> Result<Vec<Node>, Error> {
    let cluster = identity(folder)?;
    let users = [(USER, PASSWORD), (STRANGER, STRANGER_PASSWORD)];
    let scram: Vec<_> = match certificates {
        Some(_) => users.map(|(user, word)| format!("SCRAM-SHA-256=[name={user},password={word}]")).into(),
        None => Vec::new(),
    };
    let prepare = |number: usize| {
        let folder = folder.join(format!("node-{}", number + 1));
        let data = folder.join("data");
        let settings = properties::of_node(number, ports, &data, certificates, &options.properties);
        Node::prepare(&folder, &cluster, &settings, &scram, remove)
    };
    thread::scope(|scope| {
        let prepare = &prepare;
        let threads: Vec<_> = (0..options.nodes).map(|number| scope.spawn(move || prepare(number))).collect();
        let panicked = |_| Err(Error::new("preparing a node panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}

/// The cluster's id: 22 characters, kept beside the data.
fn identity(folder: &Path) -> Result<String, Error> {
    let path = folder.join("cluster");
    if let Ok(known) = fs::read_to_string(&path) {
        return Ok(known);
    }
    // Kafka wants sixteen bytes in base64; the folder's own chance is chance enough for a test.
    use std::hash::{BuildHasher, RandomState};
    let chance = || format!("{:016x}", RandomState::new().hash_one(folder));
    let id = format!("{}{}A", chance(), &chance()[..5]);
    fs::write(&path, &id).doing("cannot write the cluster's id")?;
    Ok(id)
}

fn addresses<'a>(ports: impl Iterator<Item = &'a Port>) -> String {
    ports.map(|port| format!("127.0.0.1:{}", port.number)).collect::<Vec<_>>().join(",")
}

fn is_about_ports(error: &Error) -> bool {
    ["Address already in use", "BindException", "failed to bind"].iter().any(|text| error.0.contains(text))
}
