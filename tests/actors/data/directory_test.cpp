// Where the newest bytes are, call by call.
#include "data/data.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

const Callable kernel{"kernel", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};

/// Two chips (0 and 1) and a sub-worker (2), of which nothing is there but the directory.
struct Bench {
  explicit Bench(int chips = 2) {
    for (int i = 0; i < chips; ++i) data.add(ExecutorKind::chip, "chip" + std::to_string(i));
    data.add(ExecutorKind::sub_worker, "sub0");
  }
  Tensor tensor(std::uint64_t elements = 4) {
    return memory->tensor({elements}, runtime::DType::f32).value();
  }
  TaskRequest task(std::vector<TensorUse> uses, std::int32_t executor) {
    Args args;
    for (const auto& use : uses) args.add(use);
    TaskRequest request;
    request.ticket = ++ticket;
    request.body = std::make_shared<TaskBody>(TaskBody{&kernel, std::move(args.values), nullptr});
    request.at_home = data.stay_home(request.body->args, executor);
    return request;
  }
  /// Sends a task that has all it needs; says its ticket.
  Ticket run(std::vector<TensorUse> uses, std::int32_t executor) {
    auto request = task(std::move(uses), executor);
    const auto needs = data.needs(request, executor);
    REQUIRE_FALSE(needs.refused);
    REQUIRE(needs.home.empty());
    data.dispatch(request, executor);
    pieces.clear();
    for (const auto& use : request.pieces) pieces.push_back(use.piece.number);
    return request.ticket;
  }
  /// The same of one that has to have bytes brought home first.
  Ticket bring_and_run(std::vector<TensorUse> uses, std::int32_t executor) {
    const auto needs = data.needs(task(uses, executor), executor);
    for (const auto& missing : needs.home) data.bring_home(missing);
    for (const auto& [chip, order] : data.take_orders()) {
      for (const auto& store : order.stores) {
        moved += packed_bytes(store.what.box);
        data.stored(chip, {store.buffer->number(), store.what.number});
      }
    }
    return run(std::move(uses), executor);
  }
  /// The same, and it ends at once.
  void step(std::vector<TensorUse> uses, std::int32_t executor) {
    ended.insert(bring_and_run(std::move(uses), executor));
  }
  /// What a task there waits for, by the number of buffers.
  std::size_t waits(std::vector<TensorUse> uses, std::int32_t executor) {
    return data.needs(task(std::move(uses), executor), executor).home.size();
  }
  /// "0:drop 1:store", in the order they were given.
  std::string orders() {
    std::string text;
    for (const auto& [chip, order] : data.take_orders()) {
      const auto add = [&, where = chip](std::size_t count, const char* what) {
        for (std::size_t i = 0; i < count; ++i)
          text += (text.empty() ? "" : " ") + std::to_string(where) + ":" + what;
      };
      add(order.drops.size(), "drop");
      add(order.stores.size(), "store");
      for (const auto& room : order.rooms) add(1, room.may ? "may" : "may not");
    }
    return text;
  }
  static std::shared_ptr<Buffer> buffer(const Tensor& tensor) {
    return tensor.hold()->buffer->shared_from_this();
  }
  static std::uint64_t number(const Tensor& tensor) { return tensor.hold()->buffer->number(); }

  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>();
  std::set<Ticket> ended;
  std::vector<std::uint32_t> pieces;  ///< of the last task
  std::uint64_t moved = 0;            ///< bytes that came home
  std::shared_ptr<NodeLink> link =
      std::make_shared<NodeLink>("node0", std::make_shared<Services>(SystemConfig{}), nullptr);
  std::shared_ptr<NodeLink> other =
      std::make_shared<NodeLink>("node1", std::make_shared<Services>(SystemConfig{}), nullptr);
  Directory data{link, [this](std::int32_t, Ticket task) { return !ended.contains(task); }};
  Ticket ticket = 0;
};

}  // namespace

TEST_CASE(
    "directory: a chain on one chip orders nothing, and a reader elsewhere has the bytes stored first") {
  Bench bench;
  const auto x = bench.tensor();
  for (int i = 0; i < 3; ++i) bench.ended.insert(bench.run({inout(x)}, 0));
  CHECK(bench.orders().empty());
  CHECK(bench.data.newest(Bench::number(x)) == 0);
  CHECK(bench.waits({in(x)}, 1) == 1);
  std::string heard = "nothing";
  bench.data.bring_home(Bench::buffer(x),
                        [&](const std::optional<Error>& error) { heard = error ? "error" : "home"; });
  CHECK(bench.orders() == "0:store");
  CHECK(heard == "nothing");
  bench.data.stored(0, {Bench::number(x)});
  CHECK(heard == "home");
  CHECK(Bench::buffer(x)->kept_by() == nullptr);
  bench.run({in(x)}, 1);
  bench.run({in(x)}, 0);  // its copy is still good
  CHECK(bench.orders().empty());
}

TEST_CASE("directory: who writes has all other copies dropped, and what it writes all of needs no bytes") {
  Bench bench;
  const auto x = bench.tensor();
  bench.run({in(x)}, 0);
  bench.run({in(x)}, 1);
  const auto first = bench.run({out(x)}, 0);
  CHECK(bench.orders() == "1:drop");
  bench.ended.insert(first);
  CHECK(bench.waits({out(x)}, 1) == 0);
  bench.run({out(x)}, 1);
  CHECK(bench.orders() == "0:drop");
  CHECK(bench.data.newest(Bench::number(x)) == 1);
}

TEST_CASE("directory: a host function works at home: reads bring the bytes there, writes drop every copy") {
  Bench bench;
  const auto x = bench.tensor();
  bench.ended.insert(bench.run({inout(x)}, 0));
  CHECK(bench.waits({in(x)}, 2) == 1);
  bench.data.bring_home(Bench::buffer(x), {});
  bench.data.stored(0, {Bench::number(x)});
  (void)bench.orders();
  bench.run({inout(x)}, 2);
  CHECK(bench.orders() == "0:drop");
  CHECK(bench.data.newest(Bench::number(x)) == -1);
}

TEST_CASE(
    "directory: while the first writer elsewhere has not ended, readers without an order see what was "
    "before") {
  Bench bench;
  const auto x = bench.tensor();
  const auto writer = bench.run({inout(x)}, 0);
  auto reader = bench.task({in(x)}, 1);
  CHECK(reader.at_home == std::vector<std::uint32_t>{0});  // no copy that would be out of date
  CHECK(bench.data.needs(reader, 1).home.empty());
  bool told = false;
  bench.data.bring_home(
      Bench::buffer(x), [&](const std::optional<Error>& error) { told = !error; },
      Directory::Wanted::what_ended);
  CHECK(told);
  CHECK(bench.orders().empty());
  bench.ended.insert(writer);
  CHECK(bench.waits({in(x)}, 1) == 1);
}

TEST_CASE("directory: on several chips a view has a copy of its own, on one the whole buffer") {
  for (const int chips : {1, 2}) {
    Bench bench(chips);
    const auto x = bench.tensor(8);
    bench.run({inout(x.rows(0, 4)), in(x.rows(4, 8))}, 0);
    CHECK(bench.pieces.size() == (chips == 1 ? 0 : 2));
    CHECK(bench.data.newest(Bench::number(x)) == 0);
  }
}

TEST_CASE("directory: chips that write rows of one tensor do not disturb each other") {
  Bench bench;
  const auto x = bench.tensor(8);
  for (int i = 0; i < 3; ++i) {
    bench.ended.insert(bench.run({inout(x.rows(0, 4))}, 0));
    bench.ended.insert(bench.run({inout(x.rows(4, 8))}, 1));
  }
  CHECK(bench.orders().empty());
  CHECK(bench.data.pieces(Bench::number(x)) == 2);
  // Who reads all of it has both brought home; then both copies of its parts are still good.
  bench.step({in(x)}, 0);
  CHECK(bench.moved == 32);
  CHECK(Bench::buffer(x)->kept_by() == nullptr);
  bench.run({in(x.rows(4, 8))}, 1);
  CHECK(bench.orders().empty());
  bench.run({inout(x.rows(4, 8))}, 1);
  CHECK(bench.orders() == "0:drop");  // of the whole
}

TEST_CASE(
    "directory: of a neighbour's rows only those that are read come home, again when they were written") {
  Bench bench;
  const auto x = bench.tensor(16);
  const auto low = x.rows(0, 8), high = x.rows(8, 16);
  for (int round = 1; round <= 3; ++round) {
    bench.step({inout(low)}, 0);
    bench.step({inout(high)}, 1);
    bench.step({in(low), in(x.rows(8, 9))}, 0);
    bench.step({in(high), in(x.rows(7, 8))}, 1);
    CHECK(bench.moved == static_cast<std::uint64_t>(round) * 8);
    bench.step({in(low), in(x.rows(8, 9))}, 0);  // nothing more
    CHECK(bench.moved == static_cast<std::uint64_t>(round) * 8);
  }
  CHECK(bench.data.pieces(Bench::number(x)) == 4);
}

TEST_CASE(
    "directory: tiles of one matrix are pieces, unless the task may compute with strides that it knows") {
  Bench bench;
  const auto x = bench.memory->tensor({8, 8}, runtime::DType::f32).value();
  const auto tile = [&](std::uint64_t i, std::uint64_t k) { return x.view({4 * i, 4 * k}, {4, 4}); };
  for (std::uint64_t i = 0; i < 2; ++i) {
    for (std::uint64_t k = 0; k < 2; ++k) bench.step({inout(tile(i, k))}, static_cast<int>(k));
  }
  CHECK(bench.data.pieces(Bench::number(x)) == 4);
  CHECK(bench.moved == 0);
  Args args;
  args.add(inout(tile(0, 0)));
  CHECK(bench.data.stay_home(args.values, 0, true) == std::vector<std::uint32_t>{0});
  bench.step({inout(x.rows(0, 4))}, 1);  // cut differently: what it meets comes home
  CHECK(bench.moved == 128);
  CHECK(bench.data.pieces(Bench::number(x)) == 3);
}

TEST_CASE("directory: what a chip has all of it reads and writes parts of in place") {
  Bench bench;
  const auto x = bench.tensor(8);
  bench.step({out(x)}, 0);
  bench.step({inout(x.rows(0, 4))}, 0);
  bench.step({in(x.rows(2, 6))}, 0);
  CHECK(bench.pieces.empty());
  CHECK(bench.moved == 0);
  bench.step({inout(x.rows(4, 8))}, 1);  // elsewhere: all of it comes home once
  CHECK(bench.moved == 32);
  bench.step({inout(x.rows(0, 4))}, 0);
  bench.step({inout(x.rows(4, 8))}, 1);
  CHECK(bench.moved == 32);
}

TEST_CASE("directory: a task does not read a part from the copy that goes because it writes another part") {
  Bench bench;
  const auto x = bench.tensor(8);
  bench.step({in(x)}, 0);
  bench.run({in(x.rows(0, 2)), inout(x.rows(4, 6))}, 0);
  CHECK(bench.orders() == "0:drop");
  CHECK(std::count(bench.pieces.begin(), bench.pieces.end(), 0) == 0);
}

TEST_CASE("directory: views of one task that meet share a copy where one has the other, and else they stay") {
  Bench bench;
  const auto x = bench.tensor(16);
  bench.run({in(x.rows(0, 10)), inout(x.rows(2, 8))}, 0);
  CHECK(bench.pieces == std::vector<std::uint32_t>{1, 1});
  const auto crossing = bench.task({in(x.rows(0, 10)), inout(x.rows(5, 12)), in(x.rows(14, 16))}, 0);
  CHECK(crossing.at_home == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("directory: a host function that writes some rows leaves what chips have of the others") {
  Bench bench;
  const auto x = bench.tensor(8);
  bench.step({inout(x.rows(0, 4))}, 0);
  bench.step({inout(x.rows(4, 8))}, 1);
  bench.step({inout(x.rows(0, 4))}, 2);
  CHECK(bench.moved == 16);
  CHECK(bench.data.newest(Bench::number(x)) == 1);
  CHECK(Bench::buffer(x)->kept_by() == bench.link.get());
  bench.run({inout(x.rows(4, 8))}, 1);
  CHECK(bench.orders() == "0:drop");
  bench.step({in(x)}, 0);
  CHECK(bench.moved == 32);
}

TEST_CASE("directory: a host function waits for who writes other parts of what it writes") {
  Bench bench(1);
  const auto x = bench.tensor(8);
  bench.run({inout(x.rows(0, 4))}, 0);
  CHECK(bench.waits({inout(x.rows(4, 8))}, 1) == 1);
}

TEST_CASE(
    "directory: one chip fetches a tensor when host functions have written parts of it, in the same run") {
  Bench bench(1);
  const auto x = bench.tensor(8);
  bench.run({in(x)}, 0);
  const auto writer = bench.run({inout(x.rows(0, 4))}, 1);
  CHECK(bench.orders() == "0:drop");
  auto other_part = bench.task({in(x.rows(4, 8))}, 0);
  CHECK(bench.data.needs(other_part, 0).after_others);
  CHECK(bench.data.needs(other_part, 0).home.empty());
  CHECK_FALSE(bench.data.needs(bench.task({out(x)}, 0), 0).after_others);
  other_part.key.run = 7;  // the host function may be what waits for that run
  CHECK_FALSE(bench.data.needs(other_part, 0).after_others);
  other_part.key.run = 0;
  bench.ended.insert(writer);
  CHECK_FALSE(bench.data.needs(other_part, 0).after_others);
}

TEST_CASE(
    "directory: a chip that dies takes what only it had, and what nobody has finished writing there is as it "
    "was") {
  Bench bench;
  const auto gone = bench.tensor(), kept = bench.tensor(), clean = bench.tensor();
  bench.ended.insert(bench.run({inout(gone), in(clean)}, 0));
  const auto unfinished = bench.run({inout(kept)}, 0);
  bench.data.lost(0, std::vector<Ticket>{unfinished});
  std::optional<Error> heard;
  bench.data.bring_home(Bench::buffer(gone), [&](const std::optional<Error>& error) { heard = error; });
  bench.data.down(0, Error(Errc::chip_lost, "chip0 died"));
  REQUIRE(heard);
  CHECK(*heard == Errc::data_lost);
  CHECK(Bench::buffer(gone)->is_lost());
  CHECK_FALSE(Bench::buffer(kept)->is_lost());
  CHECK_FALSE(Bench::buffer(clean)->is_lost());
  CHECK(bench.waits({in(kept), in(clean)}, 1) == 0);
  const auto reader = bench.task({in(gone)}, 1);
  CHECK(bench.data.needs(reader, 1).refused);
  bench.run({out(gone)}, 1);  // all of it is written again
  CHECK_FALSE(Bench::buffer(gone)->is_lost());
}

TEST_CASE(
    "directory: a task that did not begin leaves what it was to write as it was, if that is still anywhere") {
  Bench bench;
  const auto x = bench.tensor(), y = bench.tensor();
  const auto first = bench.run({inout(x)}, 0);
  bench.data.withdrawn(0, std::vector<Ticket>{first});
  CHECK(bench.data.newest(Bench::number(x)) == -1);
  CHECK_FALSE(Bench::buffer(x)->is_lost());
  CHECK(bench.orders() == "0:drop");
  // The chip that had the newest bytes has dropped them for a task that did not run.
  bench.ended.insert(bench.run({inout(y)}, 0));
  const auto never = bench.run({out(y)}, 1);
  bench.ended.insert(never);
  bench.data.withdrawn(1, std::vector<Ticket>{never});
  CHECK(Bench::buffer(y)->is_lost());
}

TEST_CASE(
    "directory: what a task has written is not undone in silence by one without an order to it that did not "
    "begin") {
  // The tasks of two runs. The second was sent while the first was writing elsewhere.
  Bench bench;
  const auto x = bench.tensor();
  const auto first = bench.run({inout(x)}, 0);
  const auto second = bench.run({inout(x)}, 1);
  bench.ended.insert(first);
  bench.data.withdrawn(1, std::vector<Ticket>{second});
  CHECK(Bench::buffer(x)->is_lost());
}

TEST_CASE("directory: of two tasks without an order that both did not begin, nothing is lost") {
  for (const bool dies : {false, true}) {
    Bench bench;
    const auto x = bench.tensor();
    const auto first = bench.run({inout(x)}, 0);
    const auto second = bench.run({inout(x)}, 1);
    const std::vector<Ticket> of_first{first};
    dies ? bench.data.lost(0, of_first) : bench.data.withdrawn(0, of_first);
    bench.data.withdrawn(1, std::vector<Ticket>{second});
    CHECK_FALSE(Bench::buffer(x)->is_lost());
    CHECK(bench.data.newest(Bench::number(x)) == -1);
  }
}

TEST_CASE("directory: of a tensor that the host writes, every copy is out of date") {
  Bench bench;
  const auto x = bench.tensor();
  bench.run({in(x)}, 0);
  x.host<float>()[0] = 1.0F;
  CHECK(bench.waits({in(x)}, 0) == 0);
  bench.run({in(x)}, 0);
  CHECK(bench.orders() == "0:drop");  // and the chip brings it anew
}

TEST_CASE("directory: what another node has is fetched before it is read or written here") {
  Bench bench;
  const auto x = bench.tensor();
  (void)Bench::buffer(x)->claim(bench.other);
  CHECK(bench.waits({in(x)}, 0) == 1);
  CHECK(bench.waits({out(x)}, 0) == 1);
  bool told = false;
  bench.data.bring_home(Bench::buffer(x), [&](const std::optional<Error>&) { told = true; });
  CHECK(bench.data.take_fetches().size() == 1);
  Bench::buffer(x)->came_home(bench.other.get());
  bench.data.fetched(Bench::number(x), std::nullopt);
  CHECK(told);
  bench.run({inout(x)}, 0);
  CHECK(Bench::buffer(x)->kept_by() == bench.link.get());
}

TEST_CASE("directory: the end of a tensor drops its copies, and nothing of it is kept") {
  Bench bench;
  auto x = bench.tensor();
  const auto number = Bench::number(x);
  bench.run({in(x)}, 0);
  bench.run({in(x)}, 1);
  x = {};
  bench.data.forget(number);
  CHECK(bench.orders() == "0:drop 1:drop");
  CHECK(bench.data.size() == 0);
}

TEST_CASE("directory: all that only one chip has comes home before it goes") {
  Bench bench;
  const auto x = bench.tensor(), y = bench.tensor(), elsewhere = bench.tensor();
  bench.ended.insert(bench.run({inout(x), inout(y)}, 0));
  bench.ended.insert(bench.run({inout(elsewhere)}, 1));
  bool stored = false;
  bench.data.store_all(0, [&] { stored = true; });
  CHECK(bench.orders() == "0:store 0:store");
  bench.data.stored(0, {Bench::number(x)});
  CHECK_FALSE(stored);
  bench.data.stored(0, {Bench::number(y)});
  CHECK(stored);
  CHECK_FALSE(bench.data.has_newest(0));
  CHECK(bench.data.has_newest(1));
}

TEST_CASE("directory: what cannot come home refuses who waits for it, once, and later it is tried again") {
  Bench bench;
  const auto x = bench.tensor();
  bench.ended.insert(bench.run({inout(x)}, 0));
  bench.data.bring_home(Bench::buffer(x), {});
  bench.data.stored(0, {Bench::number(x), 0, Error(Errc::out_of_memory, "no host memory")});
  const auto reader = bench.task({in(x)}, 1);
  CHECK(bench.data.needs(reader, 1).refused);
  bench.data.forget_troubles();
  CHECK_FALSE(bench.data.needs(reader, 1).refused);
  CHECK(bench.waits({in(x)}, 1) == 1);
}

TEST_CASE("directory: who waits for bytes is told, whatever becomes of the chip that was to store them") {
  for (const bool dies : {false, true}) {
    Bench bench;
    const auto x = bench.tensor();
    const auto writer = bench.run({inout(x)}, 0);
    std::string heard = "nothing";
    bench.data.bring_home(Bench::buffer(x),
                          [&](const std::optional<Error>& error) { heard = error ? "lost" : "home"; });
    dies ? bench.data.lost(0, std::vector<Ticket>{writer})
         : bench.data.withdrawn(0, std::vector<Ticket>{writer});
    CHECK(heard == "home");
    bench.data.stored(0, {Bench::number(x)});  // comes late
    // Meanwhile another has it: what comes late from the first means nothing to who waits now.
    bench.ended.insert(bench.run({inout(x)}, 1));
    heard = "nothing";
    bench.data.bring_home(Bench::buffer(x),
                          [&](const std::optional<Error>& error) { heard = error ? "lost" : "home"; });
    bench.data.stored(0, {Bench::number(x)});
    CHECK(heard == "nothing");
    bench.data.down(1, Error(Errc::chip_lost, "chip1 died"));
    CHECK(heard == "lost");
  }
}

TEST_CASE("directory: what a chip has no room for goes home when nobody else works on the same bytes") {
  Bench bench;
  const auto x = bench.tensor();
  const PieceOf all_of_x{Bench::number(x), 0};
  const Error not_done(Errc::cancelled, "it is used again");
  bench.data.asks_for_room(0, all_of_x);
  CHECK(bench.orders() == "0:may not");  // it is the newest nowhere
  bench.ended.insert(bench.run({inout(x)}, 0));
  bench.data.asks_for_room(1, all_of_x);
  CHECK(bench.orders() == "1:may not");
  bench.data.asks_for_room(0, all_of_x);
  CHECK(bench.orders() == "0:may");
  // Until it has, no other writes there, and who would read waits.
  CHECK(bench.waits({out(x)}, 1) == 1);
  CHECK(bench.waits({out(x)}, 2) == 1);
  CHECK(bench.waits({in(x)}, 1) == 1);
  CHECK(bench.waits({inout(x)}, 0) == 0);
  bench.data.stored(0, {all_of_x.buffer, 0, not_done, true});
  CHECK(bench.data.newest(all_of_x.buffer) == 0);
  CHECK(bench.waits({out(x)}, 1) == 0);
  bench.data.asks_for_room(0, all_of_x);
  CHECK(bench.orders() == "0:may");
  SUBCASE("with it, the newest bytes are at home") {
    bench.data.stored(0, {all_of_x.buffer, 0, std::nullopt, true});
    CHECK(bench.data.newest(all_of_x.buffer) == -1);
    CHECK(bench.waits({in(x)}, 1) == 0);
  }
  SUBCASE("a task behind it is to write them: they stay the chip's") {
    bench.ended.insert(bench.run({inout(x)}, 0));
    const auto behind = bench.run({inout(x)}, 0);
    bench.data.stored(0, {all_of_x.buffer, 0, std::nullopt, true});
    CHECK(bench.data.newest(all_of_x.buffer) == 0);
    bench.ended.insert(behind);
    CHECK(bench.waits({in(x)}, 1) == 1);
  }
  SUBCASE("who wants them meanwhile hears when they have come as was asked") {
    std::string heard = "nothing";
    bench.data.bring_home(Bench::buffer(x),
                          [&](const std::optional<Error>& error) { heard = error ? "lost" : "home"; });
    CHECK(bench.orders() == "0:store");
    bench.data.stored(0, {all_of_x.buffer, 0, std::nullopt, true});
    CHECK(heard == "nothing");
    bench.data.stored(0, {all_of_x.buffer, 0});
    CHECK(heard == "home");
    CHECK(bench.data.newest(all_of_x.buffer) == -1);
  }
  SUBCASE("the chip dies: they are lost, and nobody waits") {
    bench.data.down(0, Error(Errc::chip_lost, "chip0 died"));
    CHECK(Bench::buffer(x)->is_lost());
    CHECK(bench.waits({out(x)}, 1) == 0);
    bench.data.stored(0, {all_of_x.buffer, 0, std::nullopt, true});  // of its earlier life
    CHECK(bench.waits({out(x)}, 1) == 0);
  }
}

TEST_CASE("directory: a part that meets what a chip puts away waits for it") {
  Bench bench;
  const auto x = bench.tensor(8);
  const auto half = x.view({0}, {4});
  bench.ended.insert(bench.run({out(x)}, 0));
  bench.data.asks_for_room(0, {Bench::number(x), 0});
  CHECK(bench.orders() == "0:may");
  CHECK(bench.waits({in(half)}, 1) == 1);
  CHECK(bench.waits({out(half)}, 1) == 1);
  bench.data.stored(0, {Bench::number(x), 0, std::nullopt, true});
  CHECK(bench.waits({in(half)}, 1) == 0);
  CHECK(bench.waits({out(half)}, 1) == 0);
}

TEST_CASE("directory: what is lost names the tensor, its writer and its chip, however it is lost") {
  Bench bench;
  const auto x = bench.tensor(), y = bench.tensor(6);
  bench.ended.insert(bench.run({inout(x)}, 0));
  std::string heard;
  bench.data.bring_home(Bench::buffer(x),
                        [&](const std::optional<Error>& error) { heard = error->message(); });
  bench.data.down(0, Error(Errc::chip_lost, "chip0 died"));
  const std::string x_lost =
      "the newest bytes of tensor f32[4], which task \"kernel\" wrote, were only on node0/chip0, which is "
      "gone";
  CHECK(heard == x_lost);
  CHECK(Bench::buffer(x)->loss().message() == x_lost);

  bench.ended.insert(bench.run({inout(y)}, 0));
  const auto second = bench.run({out(y)}, 1);
  bench.data.withdrawn(1, std::vector<Ticket>{second});
  CHECK(Bench::buffer(y)->loss().message() ==
        "tensor f32[6] has no valid bytes: task \"kernel\", which was to write all of it, did not run");

  const auto z = bench.tensor(8);
  bench.run({inout(z)}, 1);
  bench.data.end();
  CHECK(Bench::buffer(z)->loss().message().find("tensor f32[8], which task \"kernel\" wrote, were only on "
                                                "node0/chip1") != std::string::npos);
}
