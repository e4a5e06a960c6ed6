// Who comes in at a node's door, and what becomes of who says something else.
#include <future>
#include <iterator>
#include <optional>
#include <random>
#include <thread>

#include "fixture.hpp"
#include "guest.hpp"
#include "support/random.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

namespace {

Result<platform::DeviceContext> create(Result<platform::DeviceApi> api) {
  return platform::DeviceContext::create(std::move(api).value(), std::make_shared<platform::HostThreads>());
}

}  // namespace

TEST_CASE("a node says what it has to who asks, and is not in use by that") {
  const TestNode node(3);
  const auto facts = platform::describe_node({node.address()}).value();
  CHECK(facts.chips == 3);
  CHECK(facts.platform == built("lib/libtroupe_a2a3sim.so"));
  CHECK(node.node->chips_in_use() == 0);
}

TEST_CASE("one program at a time has a node, and the next one when that has gone") {
  const TestNode node(2);
  {
    IsolatedChip first(node.chip(0, {1, 1}));
    const auto second = create(node.chip(1, {2, 2}));
    REQUIRE_FALSE(second);
    CHECK_MESSAGE(contains(render(second.error()), "in use by 'this user'"), render(second.error()));
    IsolatedChip other_chip(node.chip(1, {1, 1}));
    CHECK(node.node->chips_in_use() == 2);
  }
  for (std::uint64_t pod = 3; pod < 20; ++pod)
    IsolatedChip(node.chip(0, {pod, pod})).kernel("isolated_nothing");
}

TEST_CASE("who comes before a node has heard that the program before has gone waits for that") {
  NodeLog log;
  const TestNode node(1, 20s, log.listener());
  std::optional<Guest> before(node);
  before->set_up(0, 1);
  std::thread next([&] {
    IsolatedChip chip(node.chip(0, {2, 2}));
    CHECK(chip.end_of(chip.launch(chip.kernel("isolated_nothing"))).code == 0);
  });
  log.wait_for("waits: it is in use by 'this user'");
  before.reset();
  next.join();
}

TEST_CASE("a chip that does not end what ran there in time is refused, with a code and the time") {
  std::promise<void> go;
  const auto held = go.get_future().share();
  const TestNode node(1, 300ms, [held](const std::string& text) {
    if (contains(text, "in use by") && !contains(text, "refused")) held.wait();
  });
  Guest earlier(node), later(node);
  earlier.claim(0);
  while (node.node->chips_in_use() == 0) std::this_thread::yield();
  later.claim(0);  // of the same program
  const auto heard = later.hear();
  go.set_value();
  REQUIRE(heard);
  Reader reader(heard->payload);
  CHECK(reader.get<Welcome>().code == TROUPE_DEVICE_BUSY);
  const std::string refusal(reader.text());
  CHECK_MESSAGE(contains(refusal, "300 ms"), refusal);
}

TEST_CASE("a chip that its program takes again is taken from that program's earlier life") {
  const TestNode node;
  IsolatedChip before(node.chip());
  const auto process = before.process();
  IsolatedChip after(node.chip());
  CHECK_FALSE(is_there(process));
  CHECK(contains(before.lost(), node.address()));
  CHECK(after.process() != process);
}

TEST_CASE("a chip that a node does not have, and a node that is not there, are refused with a sentence") {
  const TestNode node(2);
  const auto third = create(node.chip(2));
  REQUIRE_FALSE(third);
  CHECK_MESSAGE(contains(render(third.error()), "has 2 chips"), render(third.error()));
  const auto nowhere = create(node.chip(0, {1, 1}, node.address() + "-not"));
  REQUIRE_FALSE(nowhere);
  CHECK_MESSAGE(contains(render(nowhere.error()), "cannot connect to unix:"), render(nowhere.error()));
  CHECK_MESSAGE(contains(render(nowhere.error()), "is `troupe node` running"), render(nowhere.error()));
  for (const char* wrong : {"", "host", "host:", ":1", "host:port", "host:70000", "::1:80"}) {
    CAPTURE(wrong);
    CHECK_FALSE(platform::describe_node({wrong}).has_value());
  }
}

TEST_CASE("nothing listens beyond a socket of one's own without certificates and names") {
  platform::NodeOptions options;
  options.listen = "127.0.0.1:0";
  options.platform = built("lib/libtroupe_a2a3sim.so");
  const auto node = platform::NodeServer::start(options);
  REQUIRE_FALSE(node);
  CHECK(node.error() == platform::Errc::invalid_argument);
  CHECK(contains(render(node.error()), "certificates"));
  CHECK_FALSE(platform::describe_node({"127.0.0.1:1"}).has_value());
}

TEST_CASE("a program of another version is told so") {
  const TestNode node;
  const Guest guest(node);
  auto claim = claim_of_this_build();
  claim.build[0] ^= 1;
  guest.say(Kind::claim, Writer().put(claim).text("node"));
  const auto heard = guest.hear();
  REQUIRE(heard);
  Reader reader(heard->payload);
  CHECK(reader.get<Welcome>().code == TROUPE_DEVICE_VERSION_MISMATCH);
  CHECK(contains(std::string(reader.text()), "of another version of troupe"));
  CHECK_FALSE(guest.hear());
  CHECK(node.node->chips_in_use() == 0);
}

TEST_CASE("what is no greeting is sent away, and who is at work does not notice") {
  const TestNode node(2);
  IsolatedChip chip(node.chip());
  const auto nothing = chip.kernel("isolated_nothing");
  for (std::uint64_t seed = first_seed(), last = seed + seeds(100); seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Guest guest(node);
    Writer words;
    FrameHeader header;
    const auto kind = random() % 4;
    if (kind >= 1) header.kind = Kind::claim;
    if (kind == 1) header.bytes = 0xFFFF'FFFF;
    if (kind >= 2) header.bytes = static_cast<std::uint32_t>(random() % 400);
    if (kind >= 1) words.put(header);
    for (std::uint64_t i = 0, count = random() % 500; i < count; ++i)
      words.put(static_cast<std::uint8_t>(random()));
    guest.say(words.bytes());
    guest.say_no_more();
    (void)guest.rest();
    CHECK(chip.end_of(chip.launch(nothing)).code == 0);
  }
  CHECK(node.node->chips_in_use() == 1);
}

TEST_CASE("what is no call ends the connection that it came over, and no other") {
  const TestNode node(2);
  IsolatedChip neighbour(node.chip(0, {1, 0}));
  const auto nothing = neighbour.kernel("isolated_nothing");
  constexpr Kind kinds[] = {
      Kind::set_option,        Kind::set_device,   Kind::allocate,    Kind::free,         Kind::copy_to,
      Kind::copy_from,         Kind::run,          Kind::properties,  Kind::status,       Kind::window_create,
      Kind::window_import,     Kind::window_abort, Kind::comm_init,   Kind::comm_destroy, Kind::create_stream,
      Kind::destroy_stream,    Kind::ping,         Kind::launch,      Kind::abort,        Kind::share,
      Kind::unshare,           Kind::put,          Kind::get,         Kind::fill,         Kind::returns,
      Kind::register_callable, Kind::find_module,  Kind::module_part, Kind::claim,        Kind::answer};
  int after_all = 0;
  for (std::uint64_t seed = first_seed(), last = seed + seeds(60); seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Guest guest(node);
    guest.set_up(1);
    for (int i = 0; i < 20; ++i) {
      Writer words;
      for (std::uint64_t j = 0, count = random() % 20; j < count; ++j)
        words.put(random() % 3 == 0 ? random() : random() % 3);
      guest.say(kinds[random() % std::size(kinds)], words, random() % 9 == 0 ? random() : random() % 100);
    }
    guest.say_no_more();
    after_all += contains(guest.last_words(), "the node was sent ") ? 1 : 0;
    CHECK(neighbour.end_of(neighbour.launch(nothing)).code == 0);
  }
  CHECK(after_all > 0);
}

namespace {

troupe_tensor_arg floats(std::uint64_t buffer, std::uint32_t piece, std::uint32_t count) {
  troupe_tensor_arg tensor{};
  tensor.buffer = buffer;
  tensor.buffer_bytes = count * sizeof(float);
  tensor.ndims = 1;
  tensor.shape[0] = count;
  tensor.strides[0] = 1;
  tensor.dtype = static_cast<decltype(tensor.dtype)>(runtime::DType::f32);
  tensor.tag = TROUPE_TAG_INOUT;
  tensor.address_space = TROUPE_SPACE_HOST;
  set_piece(tensor, piece);
  return tensor;
}

std::uint64_t bits(float value) {
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}

}  // namespace

// What the next ones do wrong is the only thing that they do otherwise.
TEST_CASE("who says everything right has its run, and hears what that wrote, and then of its end") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const auto add = guest.kernel("isolated_add");
  const float before[2] = {1.0F, 2.0F};
  guest.say(Kind::fill, Writer().put(PiecePart{64, staging_piece, 0}).raw(before, sizeof before));
  guest.say(Kind::returns, Writer().put(Region{64, sizeof before, staging_piece, 0}), 1);
  const auto tensor = floats(64, staging_piece, 2);
  const auto scalar = bits(3.0F);
  guest.launch(add, {&tensor, 1}, {&scalar, 1});
  auto heard = guest.hear();
  REQUIRE(heard);
  REQUIRE(heard->kind == Kind::spill);
  Reader spilt(heard->payload);
  const auto where = spilt.get<PiecePart>();
  CHECK(where.offset == 64);
  CHECK(where.piece == staging_piece);
  CHECK(spilt.get<float>() == 4.0F);
  CHECK(spilt.get<float>() == 5.0F);
  heard = guest.hear();
  REQUIRE(heard);
  REQUIRE(heard->kind == Kind::completions);
  Reader reader(heard->payload);
  std::vector<troupe_completion> ends;
  std::vector<std::string> messages;
  REQUIRE(read_completions(reader, ends, messages));
  REQUIRE(ends.size() == 1);
  CHECK_MESSAGE(ends[0].code == 0, messages[0]);
  CHECK(ends[0].correlation == 1);
}

TEST_CASE(
    "a run that names an address of its own instead of memory that was lent is the end of its connection") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const auto add = guest.kernel("isolated_add");
  const auto tensor = floats(0x1000, 0, 2);
  const auto scalar = bits(3.0F);
  guest.launch(add, {&tensor, 1}, {&scalar, 1});
  const auto words = guest.last_words();  // it is closed though nobody has asked for that
  CHECK_MESSAGE(contains(words, "memory which is not theirs"), words);
}

TEST_CASE("bytes for a place outside of a piece go nowhere, and a run there has no memory") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const auto add = guest.kernel("isolated_add");
  const float some[2] = {1.0F, 2.0F};
  for (const std::uint64_t offset : {std::uint64_t{65535}, std::uint64_t{65536}, ~std::uint64_t{0} - 3})
    guest.say(Kind::fill, Writer().put(PiecePart{offset, staging_piece, 0}).raw(some, sizeof some));
  const auto tensor = floats(65532, staging_piece, 2);
  const auto scalar = bits(3.0F);
  guest.launch(add, {&tensor, 1}, {&scalar, 1});
  const auto heard = guest.hear(Kind::completions);
  REQUIRE(heard);
  Reader reader(heard->payload);
  std::vector<troupe_completion> ends;
  std::vector<std::string> messages;
  REQUIRE(read_completions(reader, ends, messages));
  CHECK(ends.at(0).code != 0);
  CHECK(guest.ask(Kind::ping, Writer()).code == 0);
}
