#include <dlfcn.h>
#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "platform/conformance/probe.hpp"
#include "support/built.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"

// Contexts of one library live at the same time in many threads and share nothing (TSan watches), and
// libraries that are built the way platforms are share nothing either.
using namespace troupe;
using namespace troupe::platform;

namespace {

std::vector<std::string> libraries() {
  return {tests::built("tests/platform/platforms/libtroupe_scripted.so"),
          tests::built("lib/libtroupe_a2a3sim.so"), tests::built("lib/libtroupe_a5sim.so")};
}

/// One context from its creation to its end: memory, a run, an answer. Returns what went wrong.
std::string one_life(const DeviceApi& api, const std::shared_ptr<Host>& host, int number) {
  std::mutex mutex;
  std::condition_variable heard;
  int ended = 0, failed = 0;
  ContextEvents events;
  events.complete = [&](std::span<const troupe_completion> completions) {
    std::lock_guard lock{mutex};
    for (const auto& c : completions) {
      ++ended;
      if (c.code != 0) ++failed;
    }
    heard.notify_all();
  };
  try {
    auto context = DeviceContext::create(api, host, std::move(events)).value();
    // A hundred full-size devices are more address space than ThreadSanitizer leaves to a program.
    context.set_option("memory_bytes", "1073741824").value();
    context.set_device(number % 4).value();
    const auto copy = context.register_callable("conformance_copy", conformance::kernels()).value();
    const auto mine = static_cast<float>(number);
    std::vector<float> x(64, mine), y(64), back(64);
    const auto address = context.malloc(256).value();
    context.copy_to(address, x.data(), 256).value();
    const auto args =
        RunArgs::of(in(runtime::Tensor::host(x.data(), {64})), out(runtime::Tensor::host(y.data(), {64})));
    const troupe_run runs[] = {args.run(1, copy), args.run(2, copy)};
    context.launch(runs).value();
    {
      std::unique_lock lock{mutex};
      heard.wait(lock, [&] { return ended == 2; });
    }
    context.copy_from(back.data(), address, 256).value();
    (void)context.status().value();
    context.close().value();
    if (failed != 0) return "a run failed";
    if (y != x || back != x) return "a wrong result";
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("two, ten and a hundred contexts of one library work at once from many threads") {
  for (const auto& path : libraries()) {
    CAPTURE(path);
    const auto library = DeviceLibrary::open(path).value();
    for (const int contexts : {2, 10, 100}) {
      CAPTURE(contexts);
      const auto host = std::make_shared<HostThreads>();
      std::vector<std::string> wrong(static_cast<std::size_t>(contexts));
      std::vector<std::thread> threads;
      for (int i = 0; i < contexts; ++i) {
        threads.emplace_back(
            [&, i] { wrong[static_cast<std::size_t>(i)] = one_life(library.api(), host, i); });
      }
      for (auto& thread : threads) thread.join();
      for (const auto& text : wrong) CHECK(text == "");
      CHECK(host->quarantined() == 0);
    }
  }
}

TEST_CASE("two RTLD_LOCAL copies of a library do not share a static") {
  const auto load = [](const char* name) {
    void* const library =
        dlopen(tests::built(std::string("tests/platform/platforms/") + name).c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    return reinterpret_cast<int (*)()>(dlsym(library, "troupe_test_count"));
  };
  const auto one = load("libtroupe_static_one.so");
  const auto two = load("libtroupe_static_two.so");
  CHECK(one() == 101);
  CHECK(one() == 202);
  CHECK(two() == 101);
}

TEST_CASE("no platform library exports a symbol that the dynamic linker would share") {
  // STB_GNU_UNIQUE symbols are process-wide whatever the flags of dlopen.
  for (const auto& path : libraries()) {
    if (path.find("scripted") != std::string::npos) continue;  // built on the shared floors, not a plugin
    CAPTURE(path);
    FILE* const pipe =
        popen(("readelf --dyn-syms --wide '" + path + "' 2>/dev/null | grep -c UNIQUE").c_str(), "r");
    REQUIRE(pipe != nullptr);
    int count = -1;
    CHECK(std::fscanf(pipe, "%d", &count) == 1);
    pclose(pipe);
    CHECK(count == 0);
  }
}
