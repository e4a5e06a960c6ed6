// A window blob from any bytes: what decodes is a valid offer and encodes to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "troupe/comm/window.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::comm;
  const auto offer = decode(std::as_bytes(std::span(data, size)));
  if (!offer) return 0;
  if (!validate(offer->spec)) std::abort();
  const WindowBlob again = encode(*offer);
  if (size < again.size() || std::memcmp(again.data(), data, again.size()) != 0) std::abort();
  return 0;
}
