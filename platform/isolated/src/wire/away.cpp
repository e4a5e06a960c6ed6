#include "wire/away.hpp"

#include <cstring>

namespace troupe::platform::isolation {

bool put_place(troupe_window_blob& blob, const WindowPlace& place) noexcept {
  if (blob.byte_count > TROUPE_WINDOW_BLOB_BYTES - sizeof place) return false;
  std::memcpy(blob.bytes + blob.byte_count, &place, sizeof place);
  blob.byte_count += static_cast<std::uint32_t>(sizeof place);
  return true;
}

bool take_place(troupe_window_blob& blob, WindowPlace& place) noexcept {
  if (blob.byte_count > TROUPE_WINDOW_BLOB_BYTES || blob.byte_count < sizeof place) return false;
  WindowPlace found;
  std::memcpy(&found, blob.bytes + blob.byte_count - sizeof found, sizeof found);
  if (found.magic != WindowPlace::sign) return false;
  blob.byte_count -= static_cast<std::uint32_t>(sizeof found);
  std::memset(blob.bytes + blob.byte_count, 0, sizeof found);
  place = found;
  return true;
}

}  // namespace troupe::platform::isolation
