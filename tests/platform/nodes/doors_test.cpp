// Who comes in at a node's door, and what becomes of who says something else.
#include <random>

#include "fixture.hpp"
#include "guest.hpp"
#include "support/random.hpp"

using namespace troupe;
using namespace troupe::test;

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
  // The node hears of the end a moment later.
  for (;;) {
    if (const auto next = create(node.chip(0, {2, 2}))) break;
  }
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
  CHECK(guest.rest() > sizeof(FrameHeader) + sizeof(Welcome));
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
  IsolatedChip neighbour(node.chip(0, {1, 2}));
  const auto nothing = neighbour.kernel("isolated_nothing");
  for (std::uint64_t seed = first_seed(), last = seed + seeds(60); seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const Guest guest(node);
    auto claim = claim_of_this_build();
    claim.chip = 1;
    claim.pod = {1, 0, 0, 0, 0, 0, 0, 0, 2};
    guest.say(Kind::claim, Writer().put(claim).text("node"));
    REQUIRE(guest.hears(sizeof(FrameHeader) + sizeof(Welcome)));
    for (int i = 0; i < 20; ++i) {
      Writer words;
      for (std::uint64_t j = 0, count = random() % 200; j < count; ++j)
        words.put(static_cast<std::uint8_t>(random()));
      guest.say(static_cast<Kind>(random() % 170), words, random() % 3 == 0 ? random() : random() % 100);
    }
    guest.say_no_more();
    (void)guest.rest();
    CHECK(neighbour.end_of(neighbour.launch(nothing)).code == 0);
  }
}

TEST_CASE(
    "a run that names an address of its own instead of memory that was lent is the end of its connection") {
  const TestNode node;
  const Guest guest(node);
  auto claim = claim_of_this_build();
  claim.chip = 0;
  guest.say(Kind::claim, Writer().put(claim).text("node"));
  Writer set_up;
  SetUp facts;
  facts.staging_bytes = 65536;
  guest.say(Kind::set_up, set_up.put(facts).text("").text("guest"), 1);
  troupe_tensor_arg tensor{};
  tensor.buffer = 0x1000;
  tensor.buffer_bytes = 4;
  tensor.ndims = 1;
  tensor.shape[0] = tensor.strides[0] = 1;
  troupe_run run{};
  run.correlation = 1;
  run.callable = 1;
  run.tensors = &tensor;
  run.tensor_count = 1;
  Writer launch;
  launch.put(std::uint64_t{0}).put(std::uint64_t{1});
  put_run(launch, run, {&tensor, 1});
  guest.say(Kind::launch, launch);
  (void)guest.rest();  // it is closed though nobody has asked for that
}
