// Foreign kernels were opened as /proc/self/fd/N. The dynamic linker knows libraries by path, and an object
// with unique symbols or with thread-local objects that have destructors (every other real one) stays mapped
// after dlclose: the next kernel whose file got descriptor N was answered with the old one, and ran in its
// place without a word. Seen after a reset of a chip, with two chips in sequence, and after a kernel was
// unregistered and another one registered. Besides, the state behind unique symbols was that of all loads.
//
// Promised now: what was registered runs, whatever was loaded before it; each load has its own globals; a
// load keeps no descriptor, and is gone once it is unregistered and the threads that ran it have ended.
#include <doctest/doctest.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"

using namespace troupe;
using platform::DeviceContext;
using platform::RunArgs;

namespace {

DeviceContext chip(const std::string& platform, std::int32_t device = 0) {
  auto library = platform::DeviceLibrary::open(tests::built("lib/libtroupe_" + platform + ".so")).value();
  auto context = DeviceContext::create(library.api(), std::make_shared<platform::HostThreads>()).value();
  context.set_device(device).value();
  return context;
}

std::vector<char> object(int kernel) {
  std::ifstream file(tests::built("tests/platform/sim/foreign/awkward_" + std::to_string(kernel) + ".so"),
                     std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(!bytes.empty());
  return bytes;
}

Result<std::uint64_t> add(DeviceContext& context, const std::string& name, const std::vector<char>& bytes) {
  troupe_callable callable{};
  callable.name = name.c_str();
  callable.bytes = bytes.data();
  callable.byte_count = bytes.size();
  callable.core_kind = TROUPE_CORE_AIV;
  return context.register_callable(callable);
}
std::uint64_t add(DeviceContext& context, const std::string& name, int kernel) {
  return add(context, name, object(kernel)).value();
}

using Answer = std::array<std::int32_t, 4>;
/// Which kernel says it ran, in three ways, and its how manieth call that was.
Answer ask(DeviceContext& context, std::uint64_t callable) {
  Answer answer{};
  const auto tensor = runtime::Tensor::host(answer.data(), {4});
  context.run(RunArgs::of(runtime::inout(tensor)).run(0, callable)).value();
  return answer;
}
Answer kernel(int number, int call = 1) { return {number, number, number, call}; }

std::size_t loaded_objects() {
  std::size_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info*, std::size_t, void* counted) { return ++*static_cast<std::size_t*>(counted), 0; },
      &count);
  return count;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator folder("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

}  // namespace

TEST_CASE("another kernel that is registered after an awkward one is the one that runs") {
  auto context = chip("a2a3sim");
  for (int round = 0; round < 3; ++round) {
    for (const int number : {1, 2}) {
      const auto id = add(context, "awkward", number);
      CHECK(ask(context, id) == kernel(number));
      CHECK(ask(context, id) == kernel(number, 2));
      context.unregister_callable(id).value();
    }
  }
}

TEST_CASE("after a chip was reset, the kernels registered anew are those that run") {
  auto context = chip("a2a3sim");
  for (const int number : {1, 2, 1}) {
    CHECK(ask(context, add(context, "awkward", number)) == kernel(number));
    context.reset_device().value();
    context.set_device(0).value();
  }
}

TEST_CASE("chips one after the other, of one platform or of two, run their own kernels") {
  int number = 1;
  for (const char* platform : {"a2a3sim", "a2a3sim", "a5sim", "a5sim", "a2a3sim"}) {
    auto context = chip(platform);
    CHECK(ask(context, add(context, "awkward", number)) == kernel(number));
    context.close().value();
    number = 3 - number;
  }
}

TEST_CASE("two loads of the same bytes share nothing, on one chip or on two") {
  auto one = chip("a2a3sim", 0);
  auto two = chip("a2a3sim", 1);
  const auto first = add(one, "first", 1), second = add(one, "second", 1), third = add(two, "third", 1);
  CHECK(ask(one, first) == kernel(1));
  CHECK(ask(one, first) == kernel(1, 2));
  CHECK(ask(one, second) == kernel(1));
  CHECK(ask(two, third) == kernel(1));
}

TEST_CASE("many loads keep no descriptor, and no mapping once their threads have ended") {
  const std::size_t loaded = loaded_objects();
  {
    auto context = chip("a2a3sim");
    ask(context, add(context, "first", 1));
    const std::size_t open = open_descriptors();
    for (int i = 0; i < 200; ++i) {
      const int number = 1 + i % 2;
      const auto id = add(context, "awkward", number);
      CHECK(ask(context, id) == kernel(number));
      CHECK(open_descriptors() <= open + 4);  // those that other threads are about to close
      context.unregister_callable(id).value();
    }
  }
  // What stayed mapped for the sake of those threads goes with the next object that is unloaded.
  auto context = chip("a2a3sim");
  context.unregister_callable(add(context, "last", 2)).value();
  CHECK(loaded_objects() <= loaded + 2);  // the platform and the hooks, which stay
}

TEST_CASE("a kernel's name may be as long as any callable's") {
  auto context = chip("a2a3sim");
  CHECK(ask(context, add(context, std::string(255, 'k'), 1)) == kernel(1));
}

TEST_CASE("bytes that were scrambled behind a good header are refused, not linked in") {
  auto context = chip("a2a3sim");
  auto bytes = object(1);
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  // Behind the headers, in the first page, are the tables that the dynamic linker follows.
  const auto tables = static_cast<std::ptrdiff_t>(header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr));
  std::fill(bytes.begin() + tables, bytes.begin() + 4096, static_cast<char>(0xA5));
  const auto refused = add(context, "scrambled", bytes);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == platform::Errc::bad_callable);
  CHECK(refused.error().message().find("cannot load kernel 'scrambled': ") != std::string::npos);
  CHECK(ask(context, add(context, "sound", 1)) == kernel(1));
}
