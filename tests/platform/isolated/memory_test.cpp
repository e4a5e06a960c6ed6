// Bytes between a host and a chip in another process: memory that both have, and memory that they have not.
#include <sys/mman.h>
#include <unistd.h>

#include <numeric>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using platform::RunArgs;

namespace {

/// One memfd, mapped, that the processes of chips may have.
class Slab final : public platform::MappableMemory {
 public:
  explicit Slab(std::size_t bytes) : bytes_(bytes) {
    descriptor_ = ::memfd_create("test", MFD_CLOEXEC);
    REQUIRE(::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0);
    void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    REQUIRE(base != MAP_FAILED);
    base_ = static_cast<std::byte*>(base);
    alive_ = std::make_shared<int>();
  }
  ~Slab() override {
    ::munmap(base_, bytes_);
    ::close(descriptor_);
  }
  std::optional<Piece> piece_at(const std::byte* address, std::uint64_t bytes) override {
    ++asked;
    if (address < base_ || address + bytes > base_ + bytes_) return std::nullopt;
    return Piece{alive_, base_, bytes_, descriptor_};
  }
  float* floats() { return reinterpret_cast<float*>(base_); }
  int asked = 0;

 private:
  std::size_t bytes_;
  int descriptor_ = -1;
  std::byte* base_ = nullptr;
  std::shared_ptr<int> alive_;
};

runtime::Tensor view(float* data, std::uint32_t size) { return runtime::Tensor::host(data, {size}); }

}  // namespace

TEST_CASE("copies of any size come back as they went, through memory of both and through a buffer") {
  auto slab = std::make_shared<Slab>(std::size_t{32} << 20U);
  IsolatedChip chip({}, slab);
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{1000}, std::size_t{262'144}, std::size_t{3'000'001}}) {
    CAPTURE(size);
    std::vector<float> own(size), back(size);
    std::iota(own.begin(), own.end(), 1.0F);
    const auto bytes = size * sizeof(float);
    const auto first = chip.context->malloc(bytes).value(), second = chip.context->malloc(bytes).value();
    chip.context->copy_to(first, own.data(), bytes).value();
    chip.context->copy_from(slab->floats(), first, bytes).value();
    chip.context->copy_to(second, slab->floats(), bytes).value();
    chip.context->copy_from(back.data(), second, bytes).value();
    CHECK(back == own);
    chip.context->free(first).value();
    chip.context->free(second).value();
  }
}

TEST_CASE("a copy that leaves its allocation is refused as a whole") {
  IsolatedChip chip;
  std::vector<float> own(2'000'000, 1.0F), back(1'000'000, 0.0F);
  const auto bytes = back.size() * sizeof(float);
  const auto there = chip.context->malloc(bytes).value();
  chip.context->copy_to(there, back.data(), bytes).value();
  const auto refused = chip.context->copy_to(there, own.data(), own.size() * sizeof(float));
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == platform::Errc::out_of_range);
  chip.context->copy_from(back.data(), there, bytes).value();
  CHECK(back.front() == 0.0F);
}

TEST_CASE("a run sees what the run before it wrote into the host's memory, of both or of its own") {
  auto slab = std::make_shared<Slab>(std::size_t{1} << 20U);
  IsolatedChip chip({}, slab);
  std::vector<float> own(100, 0.0F);
  for (float* data : {own.data(), slab->floats()}) {
    const auto add = chip.kernel(data == own.data() ? "isolated_add" : "isolated_copy");
    if (data == own.data()) {
      std::uint64_t last = 0;
      for (int i = 0; i < 50; ++i) {
        auto args = RunArgs::of(runtime::inout(view(data, 100)), runtime::scalar(1.0F));
        if (last != 0) args.after(last);
        last = chip.launch(add, args);
      }
      CHECK(chip.end_of(last).code == 0);
      CHECK(own[99] == 50.0F);
    } else {
      const auto run =
          chip.launch(add, RunArgs::of(runtime::in(view(own.data(), 100)), runtime::out(view(data, 100))));
      CHECK(chip.end_of(run).code == 0);
      CHECK(slab->floats()[99] == 50.0F);
    }
  }
}

TEST_CASE("views of the host's own memory come back element by element, and what failed does not") {
  IsolatedChip chip;
  std::vector<float> own(8 * 8, 1.0F);
  const auto whole = runtime::Tensor::host(own.data(), {8, 8});
  const auto column = whole.slice(1, 2, 3);
  const auto run =
      chip.launch(chip.kernel("isolated_add_2d"), RunArgs::of(runtime::inout(column), runtime::scalar(1.0F)));
  CHECK(chip.end_of(run).code == 0);
  for (std::size_t i = 0; i < own.size(); ++i) CHECK(own[i] == (i % 8 == 2 ? 2.0F : 1.0F));
  const auto failed =
      chip.launch(chip.kernel("isolated_writes_and_fails"), RunArgs::of(runtime::inout(whole)));
  CHECK(chip.end_of(failed).code == TROUPE_DEVICE_KERNEL_FAILED);
  CHECK(own[0] == 1.0F);
}

TEST_CASE("runs with more host memory than the processes share wait for each other, or get their own") {
  IsolatedChip chip;
  const auto copy = chip.kernel("isolated_copy");
  std::vector<std::vector<float>> from, to;
  std::vector<std::uint64_t> runs;
  // 12 x 4 MiB in, 4 MiB out, and one of 40 MiB.
  for (int i = 0; i < 12; ++i) {
    from.emplace_back(1'000'000, static_cast<float>(i));
    to.emplace_back(1'000'000, -1.0F);
  }
  from.emplace_back(10'000'000, 77.0F);
  to.emplace_back(10'000'000, -1.0F);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto size = static_cast<std::uint32_t>(from[i].size());
    runs.push_back(chip.launch(
        copy, RunArgs::of(runtime::in(view(from[i].data(), size)), runtime::out(view(to[i].data(), size)))));
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    CHECK(chip.end_of(runs[i]).code == 0);
    CHECK(to[i] == from[i]);
  }
}

TEST_CASE("a run that waits for memory can be aborted, and who depends on it is skipped") {
  IsolatedChip chip(Options{{"grace_ms", "50"}});
  std::vector<float> own(16, 1.0F);
  const auto add = chip.kernel("isolated_add");
  const auto args = RunArgs::of(runtime::inout(view(own.data(), 16)), runtime::scalar(1.0F));
  const auto loop =
      chip.launch(chip.kernel("isolated_loop"), RunArgs::of(runtime::inout(view(own.data(), 16))));
  const auto held = chip.launch(add, args);
  auto after = args;
  after.after(held);
  const auto dependent = chip.launch(add, after);
  chip.context->abort(held).value();
  CHECK(chip.end_of(held).code == TROUPE_DEVICE_ABORTED);
  chip.context->reset_device().value();
  CHECK(chip.end_of(loop).code == TROUPE_DEVICE_ABORTED);
  const auto end = chip.end_of(dependent);
  CHECK(end.code != 0);
  CHECK(own[0] == 1.0F);
}

TEST_CASE("a callable of the program itself is refused with what to do") {
  IsolatedChip chip;
  static const troupe_module_v1 own{TROUPE_MODULE_MAGIC,
                                    TROUPE_MODULE_VERSION,
                                    sizeof(troupe_module_v1),
                                    sizeof(troupe_callable_v1),
                                    "own",
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    nullptr};
  const auto refused = chip.context->register_callable("anything", own);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == platform::Errc::bad_callable);
  CHECK(contains(refused.error().message(), "put it into a module"));
}
