#include "net/secure.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr const char* library_name = "libtroupe_tls.so";

/// The library beside the platforms, as installed, or among the libraries, as built.
Result<MakeSecurity> find_entry() {
  Dl_info info{};
  std::string tried;
  if (::dladdr(reinterpret_cast<const void*>(&error_name), &info) != 0 && info.dli_fname != nullptr) {
    std::error_code ignored;
    const auto here = std::filesystem::canonical(info.dli_fname, ignored).parent_path();
    const std::array<std::filesystem::path, 2> places{here / "troupe" / library_name, here / library_name};
    for (const auto& place : places) {
      if (!std::filesystem::exists(place, ignored)) continue;
      // Never closed: its code is in the tables of streams.
      void* const library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
      void* const entry = library != nullptr ? ::dlsym(library, security_entry) : nullptr;
      if (entry != nullptr) return reinterpret_cast<MakeSecurity>(entry);
      const char* const reason = ::dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
      return Error(Errc::load_failed,
                   "cannot use '" + place.string() + "': " + (reason != nullptr ? reason : "?"));
    }
    tried = places[0].string();
  }
  return Error(
      Errc::load_failed,
      "nodes on other machines need " + std::string(library_name) + ", which is not there: no " + tried,
      "install it, or build with TROUPE_NODES; unix:PATH works without");
}

}  // namespace

Result<std::shared_ptr<Security>> security_of(const Credentials& credentials, bool of_a_node) {
  if (credentials.certificate.empty() || credentials.key.empty() || credentials.authority.empty()) {
    return Error(Errc::invalid_argument, "an address on the network needs certificates at both ends",
                 "--cert, --key and --ca; `troupe certs` makes them");
  }
  const auto make = find_entry();
  if (!make) return make.error();
  return (*make)(credentials, of_a_node);
}

Result<void> send_frame(Stream& stream, Kind kind, const Writer& payload, Deadline until) {
  FrameHeader header;
  header.kind = kind;
  header.bytes = static_cast<std::uint32_t>(payload.bytes().size());
  Writer all;
  all.put(header).raw(payload.bytes().data(), payload.bytes().size());
  for (auto left = all.bytes(); !left.empty();) {
    iovec part{const_cast<std::byte*>(left.data()), left.size()};
    const auto sent = stream.send({&part, 1}, {});
    if (sent.gone) return Error(Errc::system, "the connection was closed" + stream.problem());
    left = left.subspan(sent.bytes);
    if (sent.bytes == 0) {
      if (auto ready = wait_for(stream.descriptor(), true, until); !ready) return ready;
    }
  }
  return {};
}

Result<FirstFrame> receive_frame(Stream& stream, Deadline until) {
  FrameHeader header;
  FirstFrame frame;
  const auto fill = [&](std::span<std::byte> room) -> Result<void> {
    while (!room.empty()) {
      const auto came = stream.receive(room);
      if (came.bytes == 0 && !came.nothing) {
        return Error(Errc::system, "the connection was closed" + stream.problem());
      }
      room = room.subspan(came.bytes);
      if (came.bytes != 0) continue;
      if (auto ready = wait_for(stream.descriptor(), false, until); !ready) return ready;
    }
    return {};
  };
  if (auto came = fill(std::as_writable_bytes(std::span(&header, 1))); !came) return came.error();
  constexpr std::uint32_t most = 65536;
  if (header.magic != FrameHeader::sign || header.bytes > most || header.descriptors != 0)
    return Error(Errc::version_mismatch, "what came is no greeting of troupe");
  frame.kind = header.kind;
  frame.payload.resize(header.bytes);
  if (auto came = fill(frame.payload); !came) return came.error();
  return frame;
}

}  // namespace troupe::platform::isolation
