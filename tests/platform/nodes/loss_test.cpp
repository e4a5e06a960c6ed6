// What becomes of chips whose node is lost, or that are lost on their node.
#include <thread>

#include "between.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;
using namespace std::chrono_literals;

TEST_CASE("a kernel that crashes on a node is told of with its name, and the chip can be had again") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  const auto process = chip.process();
  const auto end = chip.end_of(chip.launch(chip.kernel("isolated_crash"), {}, "the bad task"));
  CHECK(end.code == TROUPE_DEVICE_LOST);
  for (const auto* part : {"test/chip0", "isolated_crash", "the bad task"})
    CHECK_MESSAGE(contains(end.message, part), end.message);
  CHECK_MESSAGE(contains(end.message, node.address()), end.message);
  CHECK_FALSE(is_there(process));
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  CHECK(chip.process() != process);
}

TEST_CASE("a node that ends loses its chips, with its name, and one that comes back has them again") {
  TestNode node;
  IsolatedChip chip(node.chip());
  const auto loop = chip.launch(chip.kernel("isolated_loop"), {}, "endless");
  const auto behind = chip.launch(chip.kernel("isolated_nothing"));
  node.end();
  for (const auto run : {loop, behind}) {
    const auto end = chip.end_of(run);
    CHECK(end.code == TROUPE_DEVICE_LOST);
    CHECK_MESSAGE(contains(end.message, node.address()), end.message);
  }
  CHECK_FALSE(chip.context->malloc(64).has_value());
  const auto away = chip.context->reset_device();
  REQUIRE_FALSE(away);
  CHECK_MESSAGE(contains(render(away.error()), node.address()), render(away.error()));
  const auto still = chip.context->malloc(64);
  REQUIRE_FALSE(still);
  CHECK(still.error() == platform::Errc::lost);
  CHECK_MESSAGE(contains(render(still.error()), node.address()), render(still.error()));
  node.start();
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_nothing"))).code == 0);
}

TEST_CASE("calls of other threads are refused while a reset waits for the node") {
  const TestNode node;
  Between between(node);
  IsolatedChip chip(node.chip(0, {1, 2}, between.address()));
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_crash"))).code == TROUPE_DEVICE_LOST);
  (void)chip.lost();
  between.hold_answers(true);
  std::thread resets([&] { chip.context->reset_device().value(); });
  between.wait_for_answer();
  std::byte byte{};
  CHECK(chip.context->malloc(64).error() == platform::Errc::invalid_state);
  CHECK(chip.context->copy_to(64, &byte, 1).error() == platform::Errc::invalid_state);
  between.hold_answers(false);
  resets.join();
  chip.context->set_device(0).value();
  CHECK(chip.process() > 0);
}

TEST_CASE("a node gives up what its program left behind") {
  const TestNode node;
  std::int64_t process = 0;
  {
    IsolatedChip chip(node.chip());
    process = chip.process();
    (void)chip.launch(chip.kernel("isolated_loop"));
  }
  IsolatedChip next(node.chip(0, {1, 2}));
  CHECK_FALSE(is_there(process));
  CHECK(next.process() != process);
}

TEST_CASE("a program that says nothing any more loses its chip") {
  const TestNode node;
  const Guest guest(node);
  guest.claim(0, 1, 300);
  REQUIRE(guest.hear(Kind::hello));
  CHECK(guest.rest() > 0);  // until the node has closed
}

TEST_CASE("a program gives signs of life in time for a node that is less patient than it") {
  TemporaryFolder folder;
  const Host host(folder / "socket");
  platform::RemoteChip chip;
  chip.node.address = "unix:" + (folder / "socket");
  chip.node.silence = 1h;
  bool gave_sign = false;
  std::thread listens([&] { gave_sign = host.welcome_one(40); });
  // The node has no chip for it in the end.
  const auto made = platform::DeviceContext::create(platform::remote(chip).value(),
                                                    std::make_shared<platform::HostThreads>());
  listens.join();
  CHECK_FALSE(made);
  CHECK(gave_sign);
}

TEST_CASE("a node that says nothing any more is lost with its address, for whoever waits") {
  TemporaryFolder folder;
  const Host host(folder / "socket");
  platform::RemoteChip chip;
  chip.node.address = "unix:" + (folder / "socket");
  chip.node.silence = 300ms;
  // It welcomes, and then its chip never comes.
  std::thread silent([&] { host.welcome_one(); });
  const auto made = platform::DeviceContext::create(platform::remote(chip).value(),
                                                    std::make_shared<platform::HostThreads>());
  silent.join();
  REQUIRE_FALSE(made);
  CHECK_MESSAGE(contains(render(made.error()), "nothing was heard from unix:"), render(made.error()));
  CHECK_MESSAGE(contains(render(made.error()), "300 ms"), render(made.error()));
}
