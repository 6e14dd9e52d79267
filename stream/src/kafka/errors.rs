use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::Cluster;
use crate::Error;

/// What happened when something was asked of the cluster.
pub(super) fn error(cluster: &Cluster, doing: &str, error: &KafkaError) -> Error {
    if let KafkaError::ClientConfig(_, what, key, _) = error {
        return Error::Configuration(format!("the property {key} of log.kafka.properties: {what}"));
    }
    if let KafkaError::ClientCreation(what) = error {
        return Error::Configuration(format!("no kafka client: {what}"));
    }
    match error.rdkafka_error_code() {
        Some(code) => of_code(cluster, doing, code),
        None => Error::Storage { place: cluster.place(), cause: format!("{doing}: {error}") },
    }
}

/// What an error code means.
pub(super) fn of_code(cluster: &Cluster, doing: &str, code: Code) -> Error {
    let place = cluster.place();
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => Error::Credentials { place, cause: code.to_string() },
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Error::Forbidden { what: doing.to_owned() },
        code if is_passing(code) => {
            cluster.contact.failed();
            out_of_reach(cluster, doing, code)
        }
        code => Error::Storage { place, cause: format!("{doing}: {code}") },
    }
}

/// Why nothing answers: wrong credentials and broken TLS look like a broker that is away, until one asks what the
/// connections said.
fn out_of_reach(cluster: &Cluster, doing: &str, code: Code) -> Error {
    if cluster.is_in_a_hurry() {
        return cluster.given_up();
    }
    let place = cluster.place();
    match cluster.contact.cause() {
        Some((Code::Authentication, cause)) => Error::Credentials { place, cause },
        Some((Code::SSL, cause)) => Error::Insecure { place, cause },
        Some((_, cause)) => Error::Unreachable { place, cause: format!("{doing}: {cause}") },
        None => Error::Unreachable { place, cause: format!("{doing}: {code}") },
    }
}

/// Whether it may pass by itself.
pub(super) fn is_passing(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        BrokerTransportFailure
            | AllBrokersDown
            | Resolve
            | OperationTimedOut
            | MessageTimedOut
            | TimedOutQueue
            | RequestTimedOut
            | NetworkException
            | WaitingForCoordinator
            | CoordinatorLoadInProgress
            | CoordinatorNotAvailable
            | NotCoordinator
            | LeaderNotAvailable
            | NotLeaderForPartition
            | ReplicaNotAvailable
            | BrokerNotAvailable
            | NotController
            | NotEnoughReplicas
            | NotEnoughReplicasAfterAppend
            | KafkaStorageError
            | UnknownPartition
            | UnknownBroker
            | BrokerDestroy
            | DestroyBroker
            | Partial
            | Outdated
            | Retry
            | QueueFull
            | Fail
            | Authentication
            | SSL
            | ConcurrentTransactions
            | UnstableOffsetCommit
            | OffsetNotAvailable
            | FencedLeaderEpoch
            | UnknownLeaderEpoch
            | EligibleLeadersNotAvailable
            | ListenerNotFound
            | StaleBrokerEpoch
            | FetchSessionIdNotFound
            | InvalidFetchSessionEpoch
            | ThrottlingQuotaExceeded
            | PreferredLeaderNotAvailable
            | Unknown
    )
}

/// Whether it says that the group has given the work to somebody else, or is about to.
pub(super) fn is_of_the_group(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        IllegalGeneration | UnknownMemberId | FencedInstanceId | RebalanceInProgress | MemberIdRequired
    )
}

/// Whether it says that the slot has another producer by now, or that the cluster has undone the transaction.
pub(super) fn is_fenced(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        Fenced
            | ProducerFenced
            | InvalidProducerEpoch
            | InvalidTransactionalState
            | TransactionCoordinatorFenced
    )
}

/// Whether it says that the cluster doesn't know the producer any more: it forgets those that rest for long.
pub(super) fn is_forgotten(code: Code) -> bool {
    matches!(code, Code::InvalidProducerIdMapping | Code::UnknownProducerId)
}
