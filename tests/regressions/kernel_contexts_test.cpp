// The last two words of a foreign kernel's arguments led to 8 and to 4 bytes. Kernels are compiled against
// 48 and 24: what they read behind was whatever lay on the stack, and deferred completion went through
// pointers from there.
//
// Promised now: both contexts have their full layouts, zero where there is nothing to say, and the table of
// what a kernel defers is there and empty (what then comes of it: tests/platform/sim/deferred_test.cpp).
#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"

using namespace troupe;
using platform::RunArgs;

TEST_CASE("the context words of a foreign kernel lead to all that its headers declare") {
  for (const char* name : {"a2a3sim", "a5sim"}) {
    CAPTURE(name);
    auto library =
        platform::DeviceLibrary::open(tests::built("lib/libtroupe_" + std::string(name) + ".so")).value();
    auto context =
        platform::DeviceContext::create(library.api(), std::make_shared<platform::HostThreads>()).value();
    context.set_device(0).value();
    std::ifstream file(tests::built("tests/platform/sim/foreign/contexts.so"), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    troupe_callable callable{};
    callable.name = "contexts";
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    callable.core_kind = TROUPE_CORE_AIV;
    const auto id = context.register_callable(callable).value();
    for (const std::uint32_t blocks : {1U, 2U}) {  // with a graph and without
      CAPTURE(blocks);
      std::array<std::int32_t, 16> rows{};
      auto args = RunArgs::of(runtime::inout(runtime::Tensor::host(rows.data(), {2, 8})));
      auto run = args.run(0, id);
      run.blocks = blocks;
      context.run(run).value();
      for (std::uint32_t block = 0; block < blocks; ++block) {
        CAPTURE(block);
        const auto* seen = &rows[8 * block];
        CHECK(seen[0] == static_cast<std::int32_t>(block));
        CHECK(seen[1] == static_cast<std::int32_t>(blocks));
        CHECK(seen[2] == 0);
        CHECK_MESSAGE(seen[3] == 1, "a DMA workspace that no simulated chip has");
        CHECK_MESSAGE(seen[4] == 1, "the table of deferred completions does not begin empty");
        CHECK_MESSAGE(seen[5] == 64, "its room");
        CHECK_MESSAGE(seen[6] == 1, "the task's token says that there is none");
        CHECK_MESSAGE(seen[7] == 1, "its entries are not zero");
      }
    }
  }
}
