// Bytes that go from one chip to another: the directory, call by call.
#include <doctest/doctest.h>

#include <set>

#include "chip/loan.hpp"
#include "data/data.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

const Callable kernel{"kernel", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};
const Error died(Errc::chip_lost, "it died");

/// Three chips, of which 0 and 1 can pass bytes to each other, a host function's executor, and the loans that
/// are out.
struct Bench {
  Bench() {
    for (int i = 0; i < 3; ++i) data.add(ExecutorKind::chip, "chip" + std::to_string(i));
    for (int i = 0; i < 2; ++i) data.takes_moves(i, 7);
    data.add(ExecutorKind::sub_worker, "function");
  }
  Tensor tensor() { return memory->tensor({4}, runtime::DType::f32).value(); }
  TaskRequest task(std::vector<TensorUse> uses, std::int32_t executor, bool retries = false) {
    Args args;
    for (const auto& use : uses) args.add(use);
    TaskRequest request;
    request.ticket = ++ticket;
    request.retries = retries;
    request.body = std::make_shared<TaskBody>(TaskBody{&kernel, std::move(args.values), nullptr});
    request.at_home = data.stay_home(request.body->args, executor);
    return request;
  }
  /// Sends a task that has all it needs.
  Ticket run(std::vector<TensorUse> uses, std::int32_t executor) {
    auto request = task(std::move(uses), executor);
    const auto needs = data.needs(request, executor);
    REQUIRE_FALSE(needs.refused);
    REQUIRE(needs.home.empty());
    data.dispatch(request, executor);
    return request.ticket;
  }
  void step(std::vector<TensorUse> uses, std::int32_t executor) {
    ended.insert(run(std::move(uses), executor));
  }
  /// Asks for what a task needs there: how many buffers that are.
  std::size_t ask(std::vector<TensorUse> uses, std::int32_t executor, bool retries = false) {
    const auto needs = data.needs(task(std::move(uses), executor, retries), executor);
    for (const auto& missing : needs.home) data.bring_home(missing);
    return needs.home.size();
  }
  /// "0:drop 1:store", in the order they were given; notes the numbers of loans.
  std::string orders() {
    std::string text;
    for (const auto& [chip, order] : data.take_orders()) {
      const auto add = [&, where = chip](const char* what) {
        text += (text.empty() ? "" : " ") + std::to_string(where) + ":" + what;
      };
      for (std::size_t i = 0; i < order.drops.size(); ++i) add("drop");
      for (const auto& store : order.stores) {
        add(store.passing != 0 ? "lend" : "store");
        if (store.passing != 0) number = store.passing;
      }
      for (const auto& take : order.takes) add(take.loan ? "take" : "take nothing");
      for (const auto& room : order.rooms) add(room.may ? "may" : "may not");
    }
    return text;
  }
  void lends(const Tensor& x, std::int32_t chip) {
    Stored::One one{Bench::number_of(x)};
    one.passing = number;
    ++loans;
    one.loan = std::make_shared<Loan>(nullptr, 0, [this] { --loans; });
    data.stored(chip, one);
  }
  void takes(const Tensor& x, std::int32_t chip, const Error* why_not = nullptr) {
    Stored::One one{Bench::number_of(x)};
    if (why_not != nullptr) one.error = *why_not;
    one.passing = number;
    one.taken = true;
    data.stored(chip, one);
  }
  void stores(const Tensor& x, std::int32_t chip) { data.stored(chip, {Bench::number_of(x)}); }
  /// Written on chip 0, and passed on to chip 1.
  Tensor shared() {
    auto x = tensor();
    step({inout(x)}, 0);
    CHECK(ask({in(x)}, 1) == 1);
    CHECK(orders() == "0:lend");
    lends(x, 0);
    CHECK(orders() == "1:take");
    takes(x, 1);
    CHECK(loans == 0);
    return x;
  }
  std::int32_t newest(const Tensor& x) const { return data.newest(number_of(x)); }
  static std::shared_ptr<Buffer> buffer(const Tensor& tensor) {
    return tensor.hold()->buffer->shared_from_this();
  }
  static constexpr std::int32_t function = 3;
  static std::uint64_t number_of(const Tensor& tensor) { return tensor.hold()->buffer->number(); }

  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>();
  std::set<Ticket> ended;
  int loans = 0;
  std::uint64_t number = 0;
  std::shared_ptr<NodeLink> link =
      std::make_shared<NodeLink>("node0", std::make_shared<Services>(SystemConfig{}), nullptr);
  Directory data{link, [this](std::int32_t, Ticket task) { return task != 0 && !ended.contains(task); }};
  Ticket ticket = 0;
};

}  // namespace

TEST_CASE("loans: what one chip has another takes from it, and both have the newest") {
  Bench bench;
  const auto x = bench.shared();
  CHECK(bench.newest(x) == 0);
  CHECK(Bench::buffer(x)->kept_by() == bench.link.get());  // host memory has nothing of it
  bench.run({in(x)}, 1);
  bench.run({in(x)}, 0);
  CHECK(bench.orders().empty());
  // Who writes makes the other's out of date, on either side.
  bench.step({inout(x)}, 1);
  CHECK(bench.orders() == "0:drop");
  CHECK(bench.newest(x) == 1);
  CHECK(bench.ask({inout(x)}, 0) == 1);
  CHECK(bench.orders() == "1:lend");
}

TEST_CASE("loans: only between chips of one platform, of others and for a host, bytes come home") {
  Bench bench;
  const auto x = bench.tensor();
  bench.step({inout(x)}, 0);
  CHECK(bench.ask({in(x)}, 2) == 1);
  CHECK(bench.orders() == "0:store");
  bench.stores(x, 0);
  CHECK(bench.ask({in(x)}, 1) == 0);  // as they are there already
}

TEST_CASE("loans: one that cannot be given or taken is a store") {
  for (const bool taker : {false, true}) {
    Bench bench;
    const auto x = bench.tensor();
    bench.step({inout(x)}, 0);
    CHECK(bench.ask({in(x)}, 1) == 1);
    CHECK(bench.orders() == "0:lend");
    CHECK(bench.ask({in(x)}, 1) == 1);
    CHECK(bench.orders().empty());  // once
    if (taker) {
      bench.lends(x, 0);
      CHECK(bench.orders() == "1:take");
      const Error no_room(Errc::out_of_memory, "no room");
      bench.takes(x, 1, &no_room);
    } else {
      Stored::One none{Bench::number_of(x)};
      none.passing = bench.number;
      bench.data.stored(0, none);
    }
    CHECK(bench.ask({in(x)}, 1) == 1);
    CHECK(bench.orders() == "0:store");
    bench.stores(x, 0);
    CHECK(bench.ask({in(x)}, 1) == 0);
  }
}

TEST_CASE("loans: when who lent is gone, the other answers for the bytes") {
  Bench bench;
  const auto x = bench.shared();
  SUBCASE("one after the other") {
    bench.data.down(0, died);
    CHECK(bench.newest(x) == 1);
    CHECK_FALSE(Bench::buffer(x)->is_lost());
    CHECK(bench.ask({in(x)}, 2) == 1);
    CHECK(bench.orders() == "1:store");
    bench.data.down(1, died);
    CHECK(Bench::buffer(x)->is_lost());
  }
  SUBCASE("while they were to come home from there") {
    std::string heard = "nothing";
    bench.data.bring_home(Bench::buffer(x),
                          [&](const std::optional<Error>& error) { heard = error ? "lost" : "home"; });
    CHECK(bench.orders() == "0:store");
    bench.data.down(0, died);
    CHECK(bench.orders() == "1:store");
    CHECK(heard == "nothing");
    bench.stores(x, 1);
    CHECK(heard == "home");
  }
  SUBCASE("of who took them nothing is needed") {
    bench.data.down(1, died);
    CHECK(bench.newest(x) == 0);
    CHECK_FALSE(Bench::buffer(x)->is_lost());
  }
}

TEST_CASE("loans: a chip that dies while bytes are on their way") {
  for (const bool lent : {false, true}) {
    for (const std::int32_t dead : {0, 1}) {
      CAPTURE(lent);
      CAPTURE(dead);
      Bench bench;
      const auto x = bench.tensor();
      bench.step({inout(x)}, 0);
      bench.ask({in(x)}, 1);
      CHECK(bench.orders() == "0:lend");
      if (lent) {
        bench.lends(x, 0);
        CHECK(bench.orders() == "1:take");
      }
      bench.data.down(dead, died);
      if (dead == 0) {
        CHECK(bench.orders() == "1:drop");  // whatever it has of it
        CHECK(Bench::buffer(x)->is_lost());
      } else {
        CHECK(bench.newest(x) == 0);
        bench.data.takes_moves(1, 7);  // it is there again
        CHECK(bench.ask({in(x)}, 1) == 1);
        CHECK(bench.orders() == "0:lend");
      }
      // News of before means nothing.
      const auto now = bench.number;
      bench.number = 1;
      if (!lent && dead == 0) bench.lends(x, 0);
      if (lent && dead == 0) bench.takes(x, 1);
      bench.number = now;
      CHECK(bench.loans == 0);
      CHECK(bench.orders().empty());
    }
  }
}

TEST_CASE("loans: of bytes that are written meanwhile nothing stays, and nobody waits for ever") {
  Bench bench;
  const auto x = bench.tensor();
  bench.step({inout(x)}, 0);
  bench.ask({in(x)}, 1);
  CHECK(bench.orders() == "0:lend");
  SUBCASE("before they were lent") {
    bench.step({inout(x)}, 0);
    CHECK(bench.orders() == "1:drop");
    bench.lends(x, 0);
    CHECK(bench.loans == 0);
    CHECK(bench.orders().empty());
  }
  SUBCASE("before the other was told") {
    bench.lends(x, 0);
    bench.step({inout(x)}, 0);
    CHECK(bench.orders() == "1:drop 1:take nothing");  // its answer is what a task that waits hears of
    CHECK(bench.loans == 0);
  }
  SUBCASE("while it takes them") {
    bench.lends(x, 0);
    CHECK(bench.orders() == "1:take");
    bench.step({inout(x)}, 0);
    CHECK(bench.orders() == "1:drop");
    bench.takes(x, 1);
  }
  SUBCASE("by the other itself") {
    bench.lends(x, 0);
    CHECK(bench.orders() == "1:take");
    bench.step({out(x)}, 1);
    CHECK(bench.orders() == "0:drop");
    bench.takes(x, 1);
    CHECK(bench.newest(x) == 1);
    CHECK(bench.ask({in(x)}, 0) == 1);
    return;
  }
  CHECK(bench.newest(x) == 0);
  CHECK(bench.ask({in(x)}, 1) == 1);
  CHECK(bench.orders() == "0:lend");
}

TEST_CASE("loans: a task that did not begin leaves the bytes that came for it") {
  Bench bench;
  const auto x = bench.shared();
  const auto task = bench.run({inout(x)}, 1);
  CHECK(bench.orders() == "0:drop");
  bench.data.withdrawn(1, std::vector<Ticket>{task});
  CHECK(bench.newest(x) == 1);
  CHECK_FALSE(Bench::buffer(x)->is_lost());
  CHECK(bench.ask({in(x)}, 0) == 1);
  CHECK(bench.orders() == "1:lend");
}

TEST_CASE("loans: what a task with retry changes in place is at home before, so that it survives its chip") {
  Bench bench;
  const auto x = bench.tensor();
  bench.step({inout(x)}, 0);
  CHECK(bench.ask({inout(x)}, 1, true) == 1);
  CHECK(bench.orders() == "0:store");
  bench.stores(x, 0);
  const auto task = bench.run({inout(x)}, 1);
  bench.data.lost(1, std::vector<Ticket>{task});
  bench.data.down(1, died);
  CHECK_FALSE(Bench::buffer(x)->is_lost());
}

TEST_CASE("loans: who puts the bytes into host memory answers for them, and nobody else changes them then") {
  Bench bench;
  const auto x = bench.shared();
  const PieceOf all{Bench::number_of(x), 0};
  SUBCASE("who only took them") {
    bench.data.asks_for_room(1, all);
    CHECK(bench.orders() == "1:may");
    CHECK(bench.newest(x) == 1);
    CHECK(bench.ask({inout(x)}, 0) == 1);  // it waits
    CHECK(bench.orders().empty());
    bench.data.stored(1, {all.buffer, 0, std::nullopt, true});
    CHECK(bench.newest(x) == -1);
    CHECK(bench.ask({inout(x)}, 0) == 0);
    CHECK(bench.ask({in(x)}, 2) == 0);
  }
  SUBCASE("who answers for them") {
    bench.data.asks_for_room(0, all);
    CHECK(bench.orders() == "0:may");
    CHECK(bench.newest(x) == 0);
    CHECK(bench.ask({inout(x)}, 1) == 1);
    CHECK(bench.orders().empty());
    bench.data.stored(0, {all.buffer, 0, std::nullopt, true});
    CHECK(bench.newest(x) == -1);
    CHECK(bench.ask({inout(x)}, 1) == 0);
  }
  SUBCASE("one after the other") {
    bench.data.asks_for_room(1, all);
    bench.data.asks_for_room(0, all);
    CHECK(bench.orders() == "1:may");
    SUBCASE("the first has") {
      bench.data.stored(1, {all.buffer, 0, std::nullopt, true});
      CHECK(bench.orders() == "0:may not");
    }
    SUBCASE("the first could not") {
      bench.data.stored(1, {all.buffer, 0, Error(Errc::cancelled, "used again"), true});
      CHECK(bench.orders() == "0:may");
      CHECK(bench.newest(x) == 0);
    }
    SUBCASE("the first dies") {
      bench.data.down(1, died);
      CHECK(bench.orders() == "0:may");
      CHECK(bench.newest(x) == 0);
    }
  }
  SUBCASE("while they come home from the other") {
    bench.data.bring_home(Bench::buffer(x), {});
    CHECK(bench.orders() == "0:store");
    bench.data.asks_for_room(1, all);
    CHECK(bench.orders().empty());
    SUBCASE("they have come") {
      bench.stores(x, 0);
      CHECK(bench.orders() == "1:may not");
    }
    SUBCASE("the other dies") {
      bench.data.down(0, died);
      CHECK(bench.orders() == "1:store 1:may");
    }
  }
}

TEST_CASE("loans: what was lost or changed since is not stored, and who waits for it is told") {
  for (const bool lost : {false, true}) {
    CAPTURE(lost);
    Bench bench;
    const auto x = bench.shared();
    const auto goes_out_of_date = [&] {
      lost ? Bench::buffer(x)->lose(died) : (void)Bench::buffer(x)->changed_at_home();
    };
    SUBCASE("by the chip that answers for it when another is gone") {
      bool heard = false;
      bench.data.bring_home(Bench::buffer(x), [&](const std::optional<Error>&) { heard = true; });
      CHECK(bench.orders() == "0:store");
      goes_out_of_date();
      bench.data.down(0, died);
      CHECK(bench.orders().empty());
      CHECK(heard);
    }
    SUBCASE("by a chip that goes") {
      CHECK(bench.data.has_newest(0));
      goes_out_of_date();
      CHECK_FALSE(bench.data.has_newest(0));
      bool heard = false;
      bench.data.store_all(0, [&] { heard = true; });
      CHECK(bench.orders().empty());
      CHECK(heard);
    }
    SUBCASE("by a chip that has no room") {
      goes_out_of_date();
      bench.data.asks_for_room(0, {Bench::number_of(x), 0});
      CHECK(bench.orders() == "0:may not");
    }
  }
}

TEST_CASE("loans: nobody works on what is lost, or changed, while old bytes of it are on their way") {
  for (const bool lost : {false, true}) {
    for (const std::int32_t executor : {1, 2, Bench::function}) {
      CAPTURE(lost);
      CAPTURE(executor);
      Bench bench;
      const auto x = bench.tensor();
      bench.step({inout(x)}, 0);
      bench.data.bring_home(Bench::buffer(x), {});
      CHECK(bench.orders() == "0:store");
      lost ? Bench::buffer(x)->lose(died) : (void)Bench::buffer(x)->changed_at_home();
      CHECK(bench.ask({out(x)}, executor) == 1);
      CHECK(bench.orders().empty());
      CHECK(bench.data.is_storing(0));
      bench.stores(x, 0);
      CHECK_FALSE(bench.data.is_storing(0));
      CHECK(bench.ask({out(x)}, executor) == 0);
    }
  }
}

TEST_CASE("loans: what a task that did not begin was to write does not come home from its chip") {
  Bench bench;
  const auto x = bench.tensor();
  bench.step({inout(x)}, 0);
  const auto task = bench.run({out(x)}, 2);
  CHECK(bench.orders() == "0:drop");
  bool heard = false;
  bench.data.bring_home(Bench::buffer(x), [&](const std::optional<Error>&) { heard = true; });
  CHECK(bench.orders() == "2:store");
  // In the order in which a chip says it.
  bench.data.withdrawn(2, std::vector<Ticket>{task});
  bench.stores(x, 2);
  CHECK(heard);
  CHECK(Bench::buffer(x)->is_lost());
}

TEST_CASE("loans: a chip does not keep what it fetched while a host function wrote there") {
  Bench bench;
  const auto x = bench.tensor();
  const auto writer = bench.run({inout(x)}, Bench::function);
  bench.step({in(x)}, 2);  // without an order to the writer
  bench.step({in(x)}, 2);
  CHECK(bench.orders().empty());
  SUBCASE("it has ended") {
    bench.ended.insert(writer);
    bench.step({in(x)}, 2);
    CHECK(bench.orders() == "2:drop");
    bench.step({in(x)}, 2);
    CHECK(bench.orders().empty());
  }
  SUBCASE("another comes") {
    bench.ended.insert(writer);
    bench.step({inout(x)}, Bench::function);
    CHECK(bench.orders() == "2:drop");
  }
  SUBCASE("it has not ended yet") {
    bench.step({in(x)}, 2);
    CHECK(bench.orders().empty());
  }
}
