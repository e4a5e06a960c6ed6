#include <dlfcn.h>
#include <doctest/doctest.h>

#include <filesystem>
#include <thread>

#include "fixture.hpp"
#include "support/built.hpp"

using namespace troupe;
using namespace troupe::test;

#if defined(__SANITIZE_THREAD__)
constexpr bool has_thread_sanitizer = true;
#else
constexpr bool has_thread_sanitizer = false;
#endif

namespace {

int count_of_lines(const std::string& command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " | wc -l").c_str(), "r"), &pclose);
  REQUIRE(pipe != nullptr);
  int lines = -1;
  CHECK(std::fscanf(pipe.get(), "%d", &lines) == 1);
  return lines;
}

}  // namespace

TEST_CASE("two copies of a plugin in one process share nothing that can be written") {
  // The same bytes under another path are another library.
  const std::string original = tests::built("lib/libtroupe_a2a3sim.so");
  const std::string copy = tests::built("tests/platform/sim/foreign/copy_of_a2a3sim.so");
  std::filesystem::copy_file(original, copy, std::filesystem::copy_options::overwrite_existing);
  void* first = dlopen(original.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* second = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(first != nullptr);
  REQUIRE(second != nullptr);
  CHECK(dlsym(first, "create_device_context") != dlsym(second, "create_device_context"));
  // Unique symbols would be bound across local libraries; there are none.
  CHECK(count_of_lines("nm -D --defined-only " + original + " | grep ' u '") == 0);
  // Nor does anything of the floors inside it stand in the dynamic symbol table, to be exported or to be
  // found in a library of the process: the same objects make up the shared floors.
  CHECK(count_of_lines("nm -D " + original + " | grep 6troupe") == 0);
  CHECK(count_of_lines("nm -D " + tests::built("lib/libtroupe_comm.so") + " | grep 6troupe") > 0);
  std::filesystem::remove(copy);
}

TEST_CASE("chips of one process run at the same time from any threads") {
  constexpr int chips = 10;
  std::vector<std::thread> threads;
  std::vector<float> sums(chips, 0);
  for (int i = 0; i < chips; ++i) {
    threads.emplace_back([i, &sums] {
      Chip chip(platforms[static_cast<std::size_t>(i) % 2], {}, i);
      const auto program = chip.add("long_chain");
      for (int round = 0; round < 5; ++round) {
        chip.run(program,
                 RunArgs::of(inout(Tensor::host(&sums[static_cast<std::size_t>(i)], {1})), scalar(500)))
            .value();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(sums == std::vector<float>(chips, 2500));
}

TEST_CASE("a thousand chips of each kind find room in one process") {
  std::vector<std::unique_ptr<Chip>> chips;
  const std::size_t count = has_thread_sanitizer ? 100 : 1000;  // it sees 1.5 TiB of address space
  for (std::size_t i = 0; i < 2 * count; ++i) {
    chips.push_back(std::make_unique<Chip>(platforms[i % 2], std::map<std::string, std::string>{},
                                           static_cast<std::int32_t>(i / 2)));
    // Full size each: 64 and 128 GiB, of which it takes what it uses.
    REQUIRE(chips.back()->context.malloc(4096));
  }
  std::vector<float> x(2 * count, 1);
  std::vector<RunArgs> args(2 * count);
  for (std::size_t i = 0; i < 2 * count; i += 100) {
    args[i].add(inout(Tensor::host(&x[i], {1})));
    const auto run = args[i].run(1, chips[i]->add("increment"));
    REQUIRE(chips[i]->context.launch({&run, 1}));
    CHECK(chips[i]->completions.wait_for(1).completion.code == 0);
    CHECK(x[i] == 2);
  }
}

TEST_CASE("a hundred chips on few processors each do their work") {
  std::vector<std::unique_ptr<Chip>> chips;
  // Small memories: under a sanitizer the address space does not hold a hundred of full size.
  const std::map<std::string, std::string> options{{"memory_bytes", "16777216"}};
  for (int i = 0; i < 100; ++i) chips.push_back(std::make_unique<Chip>("a2a3sim", options, i));
  std::vector<float> x(100, 1);
  std::vector<RunArgs> args(100);
  for (std::size_t i = 0; i < 100; ++i) {
    args[i].add(inout(Tensor::host(&x[i], {1})));
    const auto run = args[i].run(1, chips[i]->add("increment"));
    REQUIRE(chips[i]->context.launch({&run, 1}));
  }
  for (auto& chip : chips) CHECK(chip->completions.wait_for(1).completion.code == 0);
  CHECK(x == std::vector<float>(100, 2));
}
