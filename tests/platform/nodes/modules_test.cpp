// Modules that a program sends to its node.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "guest.hpp"
#include "node/module_store.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// A module that no node has: the kernels of the tests with another hash.
class NewModule {
 public:
  explicit NewModule(int number) : file_(folder_ / ("new" + std::to_string(number) + ".so")) {
    std::filesystem::copy_file(built("tests/platform/isolated/isolated_kernels.so"), file_);
    std::ofstream(file_, std::ios::app | std::ios::binary) << "number " << number;
    module.emplace(runtime::Module::open(file_).value());
    asked.digest = runtime::sha256_of_file(file_).value().bytes;
    asked.bytes = std::filesystem::file_size(file_);
  }
  /// Whether the node has it.
  bool is_known_to(Guest& guest) const {
    const auto said = guest.ask(Kind::find_module, Writer().put(asked).text("new.so"));
    REQUIRE_MESSAGE(said.code == 0, said.text);
    return said.value<std::uint32_t>() != 0;
  }

  ModuleAsked asked;
  std::optional<runtime::Module> module;

 private:
  TemporaryFolder folder_;
  std::string file_;
};

/// So many bytes has this thread read from files.
std::uint64_t bytes_read() {
  std::ifstream facts("/proc/thread-self/io");
  std::string name;
  std::uint64_t count = 0;
  facts >> name >> count;
  REQUIRE(name == "rchar:");
  return count;
}

}  // namespace

TEST_CASE("the image of a module is hashed while it comes, so its end is no longer for a large one") {
  constexpr std::size_t size = std::size_t{32} << 20U;
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; i += 1000) bytes[i] = static_cast<std::byte>(i / 1000);
  auto image = ModuleImage::make("large.so", size).value();
  for (std::span<const std::byte> left(bytes); !left.empty(); left = left.subspan(size / 8))
    image.append(left.first(size / 8)).value();
  CHECK(image.is_whole());
  const auto before = bytes_read();
  const auto digest = image.seal().value();
  CHECK(bytes_read() - before < size / 8);
  CHECK(digest == runtime::sha256(bytes));
  CHECK(runtime::sha256_of_file(image.path()).value() == digest);
}

TEST_CASE("the image of a module is written by nobody else, also while it comes") {
  constexpr std::size_t size = 8192;
  const std::vector<std::byte> bytes(size, std::byte{1});
  auto image = ModuleImage::make("new.so", size).value();
  const auto try_to_write = [&] {
    const comm::FileDescriptor other(::open(image.path().c_str(), O_RDWR | O_CLOEXEC));
    if (!other.valid()) return;
    const std::byte byte{2};
    CHECK(::pwrite(other.get(), &byte, 1, 0) < 0);
    CHECK(::ftruncate(other.get(), 0) != 0);
    CHECK(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, other.get(), 0) == MAP_FAILED);
  };
  image.append(std::span(bytes).first(size / 2)).value();
  try_to_write();
  CHECK_FALSE(image.append(bytes).has_value());  // more than there is to be
  image.append(std::span(bytes).first(size / 2)).value();
  CHECK(image.seal().value() == runtime::sha256(bytes));
  try_to_write();
  CHECK_FALSE(image.append(std::span(bytes).first(1)).has_value());
  CHECK(runtime::sha256_of_file(image.path()).value() == runtime::sha256(bytes));
}

TEST_CASE("a module that a program sent is there for all its chips, and goes with the program") {
  const TestNode node(2);
  const NewModule module(1);
  {
    IsolatedChip chip(node.chip(0, {1, 0}));
    const auto kernel = chip.context->register_callable("isolated_nothing", *module.module->raw()).value();
    CHECK(chip.end_of(chip.launch(kernel)).code == 0);
    Guest same_program(node);
    same_program.set_up(1, 1);
    CHECK(module.is_known_to(same_program));
  }
  Guest next(node);
  next.set_up(0, 2);
  CHECK_FALSE(module.is_known_to(next));
  (void)next.kernel("isolated_nothing");  // what the node was started with stays
}

TEST_CASE("a module that several threads bring at once is there for each of them") {
  const TestNode node;
  for (int round = 0; round < 10; ++round) {
    IsolatedChip chip(node.chip());
    const NewModule module(round);
    std::vector<std::thread> threads;
    for (const char* name : {"isolated_nothing", "isolated_add", "isolated_copy", "isolated_fails"}) {
      threads.emplace_back([&, name] {
        const auto made = chip.context->register_callable(name, *module.module->raw());
        CHECK_MESSAGE(made.has_value(), render(made.error()));
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

TEST_CASE("a module that is on its way is not begun again, and what has come of it stays") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  const NewModule module(1);
  CHECK_FALSE(module.is_known_to(guest));
  const auto second = guest.ask(Kind::find_module, Writer().put(module.asked).text("new.so"));
  CHECK(second.code == TROUPE_DEVICE_BUSY);
  const auto digest = module.asked.digest;
  const std::byte byte{1};
  CHECK(guest.ask(Kind::module_part, Writer().put(ModulePart{digest, 0}).raw(&byte, 1)).code == 0);
  CHECK(guest.ask(Kind::module_part, Writer().put(ModulePart{digest, 1}).raw(&byte, 1)).code == 0);
}

TEST_CASE("a node takes so much of modules from a program, and no more") {
  const TestNode node;
  Guest guest(node);
  guest.set_up();
  ModuleAsked asked;
  asked.bytes = std::uint64_t{1} << 30U;
  for (std::uint8_t i = 0; i < 4; ++i) {
    asked.digest[0] = i;
    CHECK(guest.ask(Kind::find_module, Writer().put(asked).text("large.so")).code == 0);
  }
  asked.digest[0] = 5;
  const auto refused = guest.ask(Kind::find_module, Writer().put(asked).text("large.so"));
  CHECK(refused.code == TROUPE_DEVICE_CAPACITY_EXCEEDED);
  CHECK_MESSAGE(contains(refused.text, "'large.so'"), refused.text);
}
