package asyncotel

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// SchemaURL is the version of the semantic conventions that spans, metrics and log records follow.
const SchemaURL = semconv.SchemaURL

// ScopeName is the instrumentation scope of everything that this package makes.
const ScopeName = "github.com/asyncpb/async"

// The keys of the conventions that this package uses. This file is the only place that names them.
const (
	keySystem         = semconv.MessagingSystemKey
	keyOperationName  = semconv.MessagingOperationNameKey
	keyOperationType  = semconv.MessagingOperationTypeKey
	keyDestination    = semconv.MessagingDestinationNameKey
	keyTemporary      = semconv.MessagingDestinationTemporaryKey
	keyAnonymous      = semconv.MessagingDestinationAnonymousKey
	keyGroup          = semconv.MessagingConsumerGroupNameKey
	keyMessageID      = semconv.MessagingMessageIDKey
	keyConversationID = semconv.MessagingMessageConversationIDKey
	keyBatchCount     = semconv.MessagingBatchMessageCountKey
	keyRoutingKey     = semconv.MessagingRabbitMQDestinationRoutingKeyKey
	keyDeliveryTag    = semconv.MessagingRabbitMQMessageDeliveryTagKey
	keyServerAddress  = semconv.ServerAddressKey
	keyServerPort     = semconv.ServerPortKey
	keyErrorType      = semconv.ErrorTypeKey
	keyRPCSystem      = semconv.RPCSystemNameKey
	keyRPCMethod      = semconv.RPCMethodKey
	keyTemplate       = semconv.MessagingDestinationTemplateKey
	keyBodySize       = semconv.MessagingMessageBodySizeKey
	keyEnvelopeSize   = semconv.MessagingMessageEnvelopeSizeKey
)

// What the conventions have no name for.
const (
	keyMessageType      = attribute.Key("async.message.type")
	keySendMode         = attribute.Key("async.send.mode")
	keySendConfirm      = attribute.Key("async.send.confirm")
	keySendDuration     = attribute.Key("async.send.duration")
	keySendBlocked      = attribute.Key("async.send.blocked.duration")
	keyQueueDuration    = attribute.Key("async.queue.duration")
	keyProcessDuration  = attribute.Key("async.process.duration")
	keyReceiveDuration  = attribute.Key("async.receive.duration")
	keyTotalDuration    = attribute.Key("async.total.duration")
	keyClockSkew        = attribute.Key("async.clock_skew")
	keyAttempt          = attribute.Key("async.delivery.attempt")
	keyAttempts         = attribute.Key("async.delivery.attempts")
	keyRedeliveries     = attribute.Key("async.delivery.redeliveries")
	keySettleOutcome    = attribute.Key("async.settle.outcome")
	keyTraceMode        = attribute.Key("async.trace.mode")
	keyContextMissing   = attribute.Key("async.context.missing")
	keyLinkType         = attribute.Key("async.link.type")
	keyLinkUntrusted    = attribute.Key("async.link.untrusted")
	keyAttemptNumber    = attribute.Key("async.attempt")
	keyQueueClock       = attribute.Key("async.queue.clock")
	headerPrefix        = "async.header."
	queueClockProducer  = "producer"
	rpcSystem           = "async"
	linkFailedAttempt   = "failed_attempt"
	operationPublish    = "publish"
	operationCreate     = "create"
	operationRequest    = "request"
	operationReply      = "reply"
	operationProcess    = "process"
	operationReceive    = "receive"
	operationAck        = "ack"
	operationNack       = "nack"
	operationQueue      = "queue"
	operationAttempt    = "attempt"
	sendModeSync        = "sync"
	sendModeAsync       = "async"
	confirmBroker       = "broker"
	confirmNone         = "none"
	systemRabbitMQ      = "rabbitmq"
	exceptionPrefix     = "messaging."
	exceptionSuffix     = ".exception"
	errorAbandoned      = "async.receipt_abandoned"
	errorDeadLetter     = "async.dead_letter"
	errorTimeout        = "timeout"
	errorCanceled       = "context.canceled"
	errorNacked         = "nack"
	errorNackedRabbitMQ = "amqp:nack"
)

// The operation types of the conventions.
var (
	createType  = semconv.MessagingOperationTypeCreate.Value.AsString()
	sendType    = semconv.MessagingOperationTypeSend.Value.AsString()
	receiveType = semconv.MessagingOperationTypeReceive.Value.AsString()
	processType = semconv.MessagingOperationTypeProcess.Value.AsString()
	settleType  = semconv.MessagingOperationTypeSettle.Value.AsString()
)
