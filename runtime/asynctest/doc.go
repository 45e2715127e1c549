// Package asynctest is a kit for tests of programs that use generated publishers, clients and subscribers: a runtime in
// memory that remembers what was published, what handlers made of it and what became a dead letter, and that can make
// things go wrong.
//
//	func TestAPlacedOrderIsShipped(t *testing.T) {
//		rt := asynctest.New(t)
//		if err := shop.Register(rt.Runtime); err != nil { // what is tested: handlers, publishers
//			t.Fatal(err)
//		}
//		rt.Start()
//		orders := ordersv1async.NewOrderEventsPublisher(rt.Runtime)
//		if err := orders.Placed(t.Context(), &ordersv1.OrderPlaced{OrderId: "A-1"}); err != nil {
//			t.Fatal(err)
//		}
//		rt.WaitIdle(time.Second)
//		if shipped := asynctest.Published[*ordersv1.ShipRequest](rt); len(shipped) != 1 {
//			t.Errorf("got %v, want one ShipRequest", shipped)
//		}
//	}
//
// The runtime is that of package async, on the broker of package memorytransport: delays, retries with their backoff, time
// to live, key order and dead letters are the real ones.
//
// # What goes wrong
//
// [Runtime.FailNext] fails the next handler calls of an rpc, [Runtime.FailNextSends] its next sends.
// [Runtime.DeliverTwice] delivers every message a second time after it was handled, as a broker does when an
// acknowledgement is lost: a handler that passes is idempotent.
//
// # Time
//
// Inside a bubble of [testing/synctest], retries, delays, timeouts and lives of hours pass at once: call [New] inside the
// bubble, and [Runtime.WaitIdle] with as long a time as the messages may need.
package asynctest
