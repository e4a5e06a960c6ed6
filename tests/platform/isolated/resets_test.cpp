// Resets that cannot start another process, and calls while one is on its way.
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "fixture.hpp"
#include "support/temporary_folder.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// What the context starts as its program, which the test takes away, and brings back.
class Program {
 public:
  Program() { bring(); }
  void bring() const { std::filesystem::create_symlink(platform::chip_program().value(), path()); }
  void take_away() const { std::filesystem::remove(path()); }
  /// From the next process on: it begins when it is let.
  void make_slow() const {
    take_away();
    for (const auto& pipe : {begun_, may_go_}) REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    std::ofstream script(path());
    script << "#!/bin/sh\n"
           << ": > '" << begun_ << "'\nread -r line < '" << may_go_ << "'\n"
           << "exec '" << platform::chip_program().value() << "' \"$@\"\n";
    script.close();
    std::filesystem::permissions(path(), std::filesystem::perms::owner_all);
  }
  void wait_until_begun() const { std::ifstream(begun_).get(); }
  void let_go() const { std::ofstream(may_go_) << "go\n"; }

  Result<platform::DeviceApi> platform(const std::string& library = built("lib/libtroupe_a2a3sim.so")) const {
    return platform::isolated({library, "test/chip0", nullptr, path()});
  }
  std::string path() const { return folder_ / "chip"; }

 private:
  TemporaryFolder folder_;
  const std::string begun_ = folder_ / "begun", may_go_ = folder_ / "may_go";
};

/// All kinds of calls are refused with that.
void check_refused(IsolatedChip& chip, platform::Errc code) {
  std::byte byte{};
  CHECK(chip.context->malloc(64).error() == code);
  CHECK(chip.context->free(64).error() == code);
  CHECK(chip.context->copy_to(64, &byte, 1).error() == code);
  CHECK(chip.context->copy_from(&byte, 64, 1).error() == code);
  CHECK(chip.context->register_callable("isolated_nothing", *isolated_kernels().raw()).error() == code);
  CHECK(chip.context->abort().error() == code);
  const auto run = platform::RunArgs().run(100, 1);
  CHECK(chip.context->launch({&run, 1}).error() == code);
  CHECK(chip.context->run(run).error() == code);
}

}  // namespace

TEST_CASE("a chip whose reset starts no process is lost, says why, and comes back with a later reset") {
  const Program program;
  IsolatedChip chip(program.platform(), Options{{"grace_ms", "200"}});
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_crash"))).code == TROUPE_DEVICE_LOST);
  program.take_away();
  for (int i = 0; i < 2; ++i) {
    const auto failed = chip.context->reset_device();
    REQUIRE_FALSE(failed);
    CHECK_MESSAGE(contains(render(failed.error()), program.path()), render(failed.error()));
    check_refused(chip, platform::Errc::lost);
    const auto why = chip.context->malloc(64).error();
    CHECK_MESSAGE(contains(render(why), "test/chip0"), render(why));
    CHECK_MESSAGE(contains(render(why), program.path()), render(why));
    CHECK(chip.context->status().value().totals.state == TROUPE_STATE_LOST);
  }
  program.bring();
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  CHECK(chip.process() > 0);
}

TEST_CASE(
    "a chip whose reset starts a process that cannot serve is lost, and comes back with a later reset") {
  const Program program;
  TemporaryFolder folder;
  const std::string library = folder / "libplatform.so";
  std::filesystem::create_symlink(built("lib/libtroupe_a2a3sim.so"), library);
  IsolatedChip chip(program.platform(library));
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_crash"))).code == TROUPE_DEVICE_LOST);
  std::filesystem::remove(library);
  REQUIRE_FALSE(chip.context->reset_device().has_value());
  check_refused(chip, platform::Errc::lost);
  std::filesystem::create_symlink(built("lib/libtroupe_a2a3sim.so"), library);
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  CHECK(chip.process() > 0);
}

TEST_CASE("calls of other threads are refused while a reset waits for the next process") {
  const Program program;
  IsolatedChip chip(program.platform());
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_crash"))).code == TROUPE_DEVICE_LOST);
  program.make_slow();
  std::thread resets([&] { chip.context->reset_device().value(); });
  program.wait_until_begun();
  check_refused(chip, platform::Errc::invalid_state);
  program.let_go();
  resets.join();
  chip.context->set_device(0).value();
  CHECK(chip.process() > 0);
}

TEST_CASE("a chip that is closed after a reset that failed ends in order") {
  const Program program;
  IsolatedChip chip(program.platform());
  CHECK(chip.end_of(chip.launch(chip.kernel("isolated_crash"))).code == TROUPE_DEVICE_LOST);
  program.take_away();
  REQUIRE_FALSE(chip.context->reset_device().has_value());
  CHECK(chip.context->close());
}
