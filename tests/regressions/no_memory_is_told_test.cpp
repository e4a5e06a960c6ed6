// What could not be done for want of memory said so, but not why: a limit of the process (ulimit -v), which
// all other errors of this kind name with its value, was left out where a copy to a chip or a step of its
// bring-up ran out, and "std::bad_alloc" stood for the whole in processes of chips and in Python.
//
// Promised now: errors about memory name the limit that was met. (Python:
// tests/apps/python/life/test_life.py.)
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <functional>
#include <new>
#include <string>
#include <utility>

#include "chip/device_in_use.hpp"
#include "troupe/comm/bootstrap.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe;

namespace {

/// What an error about memory says where addresses are limited, so high that nobody meets it.
template <class Call>
std::string told(Call call) {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_AS, &before) == 0);
  rlimit wide = before;
  wide.rlim_cur = rlim_t{1} << 55U;
  REQUIRE(::setrlimit(RLIMIT_AS, &wide) == 0);
  auto result = call();
  REQUIRE(::setrlimit(RLIMIT_AS, &before) == 0);
  REQUIRE_FALSE(result);
  return render(result.error());
}

void names_the_limit(const std::string& text) {
  CAPTURE(text);
  CHECK(text.find("34359738368 MiB of addresses (ulimit -v)") != std::string::npos);
}

}  // namespace

TEST_CASE("a call of a chip's memory that finds no host memory names the limit") {
  const platform::ScriptedChip script;
  auto context =
      platform::DeviceContext::create(script.api(), std::make_shared<platform::ManualHost>()).value();
  actors::DeviceInUse device(std::move(context));
  actors::MemoryCall call;
  call.what = actors::MemoryCall::What::task;
  call.task = [](actors::DeviceInUse&) -> Result<void> { throw std::bad_alloc(); };
  names_the_limit(told([&] { return actors::perform(device, call); }));
}

namespace {

class ShortOfMemory final : public comm::BootstrapDevice {
 public:
  Result<void> set_device(int) override { throw std::bad_alloc(); }
  Result<void> copy_to(std::uint64_t, const void*, std::size_t) override { return {}; }
  Result<void> copy_from(void*, std::uint64_t, std::size_t) override { return {}; }
  Result<std::unique_ptr<comm::BootstrapCommunicator>> communicator(
      const comm::ChipCommBootstrapConfig&) override {
    return std::unique_ptr<comm::BootstrapCommunicator>();
  }
};

}  // namespace

TEST_CASE("a bring-up that finds no host memory names the limit") {
  ShortOfMemory device;
  const auto said = told([&] { return comm::ChipBootstrap::run(device, 0, {}); });
  CHECK(said.find("MemoryError") != std::string::npos);
  names_the_limit(said);
}
