#include "orchestration/packed_callable.hpp"

#include <algorithm>
#include <cstring>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t alignment = 64;  // of the kernels inside an orchestration
constexpr std::int32_t most_numbers = 1024;
constexpr std::size_t name_bytes = 64;

// Facts of the packed forms.
struct KernelHeader {
  std::int32_t directions[32];
  std::int32_t direction_count;
  std::uint32_t object_bytes;
  std::uint64_t address;  // of where it was loaded
  std::byte padding[48];
};
static_assert(offsetof(KernelHeader, direction_count) == 128 && offsetof(KernelHeader, object_bytes) == 132);
static_assert(offsetof(KernelHeader, address) == 136 && sizeof(KernelHeader) == 192);

struct OrchestrationHeader {
  std::int32_t directions[256];
  std::int32_t direction_count;
  std::uint32_t object_bytes;
  char entry[name_bytes];
  std::uint32_t entry_bytes;
  std::int32_t kernel_numbers[most_numbers];
  std::uint32_t kernel_offsets[most_numbers];
  std::int32_t kernel_count;
  char config[name_bytes];
  std::uint32_t config_bytes;
  std::byte padding[12];
};
static_assert(offsetof(OrchestrationHeader, direction_count) == 1024);
static_assert(offsetof(OrchestrationHeader, object_bytes) == 1028 &&
              offsetof(OrchestrationHeader, entry) == 1032);
static_assert(offsetof(OrchestrationHeader, entry_bytes) == 1096);
static_assert(offsetof(OrchestrationHeader, kernel_numbers) == 1100);
static_assert(offsetof(OrchestrationHeader, kernel_offsets) == 5196);
static_assert(offsetof(OrchestrationHeader, kernel_count) == 9292 &&
              offsetof(OrchestrationHeader, config) == 9296);
static_assert(offsetof(OrchestrationHeader, config_bytes) == 9360 && sizeof(OrchestrationHeader) == 9376);

bool is_object_at(Bytes bytes, std::size_t at) noexcept {
  constexpr char magic[] = {'\x7f', 'E', 'L', 'F'};
  return bytes.size() >= at + sizeof magic && std::memcmp(bytes.data() + at, magic, sizeof magic) == 0;
}

Error defect(const std::string& what) { return Error(Errc::bad_callable, "the packed callable " + what); }

template <std::size_t Most>
Result<std::vector<std::uint8_t>> directions_of(const std::int32_t (&directions)[Most], std::int32_t count) {
  if (count < 0 || static_cast<std::size_t>(count) > Most)
    return defect("has a signature of " + std::to_string(count) + " arguments");
  std::vector<std::uint8_t> read;
  for (std::int32_t i = 0; i < count; ++i) {
    if (directions[i] < 0 || directions[i] > 3)
      return defect("has the unknown direction " + std::to_string(directions[i]) + " in its signature");
    read.push_back(static_cast<std::uint8_t>(directions[i]));
  }
  return read;
}

Result<std::string> name_of(const char (&name)[name_bytes], std::uint32_t size, const char* what) {
  if (size >= name_bytes)
    return defect("has " + std::string(what) + " name of " + std::to_string(size) + " bytes");
  return std::string(name, strnlen(name, size));
}

Result<Bytes> kernel_in(Bytes bytes, const std::string& which) {
  KernelHeader header;
  if (bytes.size() < sizeof header) return defect("ends inside " + which);
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes = bytes.subspan(sizeof header);
  if (header.object_bytes > bytes.size()) return defect("ends inside " + which);
  if (auto known = directions_of(header.directions, header.direction_count); !known) return known.error();
  return bytes.first(header.object_bytes);
}

Result<PackedCallable> unpack_kernel(Bytes bytes) {
  auto object = kernel_in(bytes, "its object");
  if (!object) return object.error();
  KernelHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  PackedCallable callable;
  callable.form = PackedCallable::Form::kernel;
  callable.object = *object;
  callable.directions = *directions_of(header.directions, header.direction_count);
  return callable;
}

Result<std::vector<PackedKernel>> kernels_in(Bytes storage, const OrchestrationHeader& header) {
  std::vector<PackedKernel> kernels;
  for (std::int32_t i = 0; i < header.kernel_count; ++i) {
    const std::int32_t number = header.kernel_numbers[i];
    const std::uint32_t offset = header.kernel_offsets[i];
    const std::string which = "kernel " + std::to_string(number);
    if (number < 0 || number >= most_numbers)
      return defect("has a kernel of number " + std::to_string(number) + "; they go from 0 to 1023");
    if (offset % alignment != 0 || offset >= storage.size())
      return defect("says that " + which + " lies at byte " + std::to_string(offset));
    auto object = kernel_in(storage.subspan(offset), which);
    if (!object) return object.error();
    kernels.push_back({.number = number, .object = *object});
  }
  std::stable_sort(kernels.begin(), kernels.end(),
                   [](const PackedKernel& a, const PackedKernel& b) { return a.number < b.number; });
  for (std::size_t i = 1; i < kernels.size(); ++i) {
    if (kernels[i].number != kernels[i - 1].number) continue;
    return defect("has two kernels of number " + std::to_string(kernels[i].number));
  }
  return kernels;
}

/// Of ours: twelve sizes, and a word that says so, as the last bytes.
std::optional<RingSizes> rings_behind(Bytes storage) {
  constexpr std::uint64_t magic = 0x3153474e49525254;  // "TRRINGS1"
  RingSizes rings;
  std::uint64_t last = 0;
  if (storage.size() < sizeof rings + sizeof last) return std::nullopt;
  std::memcpy(&last, storage.data() + storage.size() - sizeof last, sizeof last);
  if (last != magic) return std::nullopt;
  std::memcpy(&rings, storage.data() + storage.size() - sizeof last - sizeof rings, sizeof rings);
  return rings;
}

Result<PackedCallable> unpack_orchestration(Bytes bytes) {
  OrchestrationHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const Bytes storage = bytes.subspan(sizeof header);
  if (header.object_bytes > storage.size()) return defect("ends inside its orchestration");
  if (header.kernel_count < 0 || header.kernel_count > most_numbers)
    return defect("has " + std::to_string(header.kernel_count) + " kernels");
  auto directions = directions_of(header.directions, header.direction_count);
  if (!directions) return directions.error();
  auto entry = name_of(header.entry, header.entry_bytes, "an entry");
  if (!entry) return entry.error();
  auto config = name_of(header.config, header.config_bytes, "a configuration");
  if (!config) return config.error();
  auto kernels = kernels_in(storage, header);
  if (!kernels) return kernels.error();
  PackedCallable callable;
  callable.form = PackedCallable::Form::orchestration;
  // Some count the kernels in.
  std::size_t end = header.object_bytes;
  for (std::int32_t i = 0; i < header.kernel_count; ++i)
    end = std::min<std::size_t>(end, header.kernel_offsets[i]);
  callable.object = storage.first(end);
  callable.entry = *std::move(entry);
  callable.config = *std::move(config);
  callable.directions = *std::move(directions);
  callable.kernels = *std::move(kernels);
  callable.rings = rings_behind(storage);
  return callable;
}

}  // namespace

Result<PackedCallable> unpack_callable(Bytes bytes) {
  if (!is_object_at(bytes, 0)) {
    if (is_object_at(bytes, sizeof(KernelHeader))) return unpack_kernel(bytes);
    if (is_object_at(bytes, sizeof(OrchestrationHeader))) return unpack_orchestration(bytes);
  }
  PackedCallable callable;
  callable.object = bytes;
  return callable;
}

}  // namespace troupe::platform::sim
