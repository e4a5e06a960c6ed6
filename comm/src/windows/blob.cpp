#include <sys/random.h>

#include <bit>
#include <cstring>
#include <string>

#include "system_error.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::comm {

namespace {

constexpr std::uint64_t blob_magic = 0x424c'4550'554f'5254;  // "TROUPELB"
constexpr std::uint32_t blob_version = 1;

/// The blob as it travels; offsets are documented in docs/communication.md.
struct Layout {
  std::uint64_t magic;
  std::uint32_t version, size;
  std::uint64_t domain_high, domain_low, generation;
  std::uint32_t rank, ranks;
  std::uint64_t bytes, process, device, inode;
  std::int32_t descriptor;
  std::uint32_t reserved[3];
};
static_assert(sizeof(Layout) == window_blob_bytes && std::endian::native == std::endian::little);

Error bad_blob(const std::string& why) {
  return Error(Errc::bad_blob, "this is no window blob: " + why, "pass the bytes that create() exported");
}

}  // namespace

Result<DomainId> DomainId::fresh() {
  DomainId id;
  // Small requests to getrandom are all or nothing once the system has booted.
  if (::getrandom(&id, sizeof id, 0) != static_cast<ssize_t>(sizeof id))
    return system_error("drawing a domain id", errno);
  return id;
}

Result<void> validate(const WindowSpec& spec) {
  if (spec.ranks == 0 || spec.ranks > max_ranks)
    return Error(Errc::bad_rank, "a domain of " + std::to_string(spec.ranks) + " ranks",
                 "a domain has 1 to " + std::to_string(max_ranks) + " ranks");
  if (spec.rank >= spec.ranks)
    return Error(Errc::bad_rank,
                 "rank " + std::to_string(spec.rank) + " in a domain of " + std::to_string(spec.ranks),
                 "ranks count from 0");
  if (spec.bytes > max_window_bytes)
    return Error(Errc::too_large, "a window of " + std::to_string(spec.bytes) + " bytes",
                 "a window has at most " + std::to_string(max_window_bytes) + " bytes");
  return {};
}

WindowBlob encode(const WindowOffer& offer) {
  const WindowSpec& spec = offer.spec;
  const Layout layout{.magic = blob_magic,
                      .version = blob_version,
                      .size = window_blob_bytes,
                      .domain_high = spec.domain.high,
                      .domain_low = spec.domain.low,
                      .generation = spec.generation,
                      .rank = spec.rank,
                      .ranks = spec.ranks,
                      .bytes = spec.bytes,
                      .process = offer.process,
                      .device = offer.device,
                      .inode = offer.inode,
                      .descriptor = offer.descriptor,
                      .reserved = {}};
  return std::bit_cast<WindowBlob>(layout);
}

Result<WindowOffer> decode(std::span<const std::byte> blob) {
  if (blob.size() < sizeof(Layout))
    return bad_blob(std::to_string(blob.size()) + " bytes instead of " + std::to_string(sizeof(Layout)));
  Layout layout{};
  std::memcpy(&layout, blob.data(), sizeof layout);
  if (layout.magic != blob_magic) return bad_blob("wrong magic");
  if (layout.version != blob_version) return bad_blob("version " + std::to_string(layout.version));
  if (layout.size != sizeof(Layout))
    return bad_blob("it says it has " + std::to_string(layout.size) + " bytes");
  if (layout.descriptor < 0 || (layout.reserved[0] | layout.reserved[1] | layout.reserved[2]) != 0)
    return bad_blob("impossible values");
  WindowOffer offer{.spec = {.domain = {layout.domain_high, layout.domain_low},
                             .generation = layout.generation,
                             .rank = layout.rank,
                             .ranks = layout.ranks,
                             .bytes = layout.bytes},
                    .process = layout.process,
                    .descriptor = layout.descriptor,
                    .device = layout.device,
                    .inode = layout.inode};
  if (auto valid = validate(offer.spec); !valid) return valid.error();
  return offer;
}

}  // namespace troupe::comm
