package transport

// Ability says how a transport does a thing.
type Ability uint8

// The degrees of an ability.
const (
	// None: the transport cannot, and says so with [ErrUnsupported].
	None Ability = iota
	// Emulated: it works inside this process and ends with it.
	Emulated
	// Native: the broker does it.
	Native
)

// String returns none, emulated or native.
func (a Ability) String() string {
	switch a {
	case Native:
		return "native"
	case Emulated:
		return "emulated"
	default:
		return "none"
	}
}

// Capabilities is what a transport can do. The table of transports in the documentation is printed from it.
type Capabilities struct {
	// System is the value of messaging.system in traces and metrics: "rabbitmq", "in_memory", "go_channel".
	System string
	// Durable: a message that was taken survives the end of every process, the broker's included.
	Durable Ability
	// Groups: consumers of a group share the messages, and every group gets each message.
	Groups Ability
	// StandingGroups: a group collects messages while it has no consumer.
	StandingGroups Ability
	// Redelivery: a message whose consumer went away is handed out again.
	Redelivery Ability
	// Target: a message can be sent to one group of a topic ([Publication].Group). Without it the runtime waits
	// and tries again in process, holding the delivery.
	Target Ability
	// Delay: [Publication].Delay.
	Delay Ability
	// TTL: [Publication].Expires frees a queue that nobody consumes by itself. Without it an expired message is dropped when it
	// reaches a consumer.
	TTL Ability
	// Order: [Subscription].Ordered.
	Order Ability
	// DeadLetter: dead letters are kept in a queue until somebody takes them.
	DeadLetter Ability
	// Mandatory: [Publication].Mandatory. Without it a message that nobody takes is lost without an error.
	Mandatory Ability
	// Settlement: Settle's callback is the broker's word and not a guess.
	Settlement Ability
	// Broadcast: [Subscription].Broadcast.
	Broadcast Ability
	// Reply: subscriptions of [KindReply].
	Reply Ability
}

// Feature is one row of the table of capabilities.
type Feature struct {
	Name    string
	Ability Ability
}

// Features lists the abilities by name, in the order of the struct.
func (c Capabilities) Features() []Feature {
	return []Feature{
		{"durable", c.Durable},
		{"groups", c.Groups},
		{"standing groups", c.StandingGroups},
		{"redelivery", c.Redelivery},
		{"target", c.Target},
		{"delay", c.Delay},
		{"ttl", c.TTL},
		{"order", c.Order},
		{"dead letter", c.DeadLetter},
		{"mandatory", c.Mandatory},
		{"settlement", c.Settlement},
		{"broadcast", c.Broadcast},
		{"reply", c.Reply},
	}
}
