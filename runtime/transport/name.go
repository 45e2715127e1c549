package transport

// MaxNameBytes is the longest physical name: RabbitMQ allows 255 bytes, and six are kept for suffixes of ours.
const MaxNameBytes = 249

// QueueName is the name of a group's queue: <topic>--<group>.
func QueueName(topic, group string) string { return topic + "--" + group }

// DeadName is the name of a group's dead-letter queue: <topic>--<group>--dead.
func DeadName(topic, group string) string { return topic + "--" + group + "--dead" }
