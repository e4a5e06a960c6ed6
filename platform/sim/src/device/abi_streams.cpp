// What the device ABI has for platforms with a runtime of their own: optional symbols.

#include "border/border.hpp"

using namespace troupe;
using namespace troupe::platform::common;

extern "C" {

// A simulated chip needs neither a runtime of its own nor a stream; the answers are the reference's.
int32_t ensure_acl_ready_ctx(troupe_device_context* context, int32_t /*device_id*/) {
  return guarded(context, "ensure_acl_ready_ctx", []() -> Result<void> { return {}; });
}

void* create_comm_stream_ctx(troupe_device_context* /*context*/) { return nullptr; }

int32_t destroy_comm_stream_ctx(troupe_device_context* context, void* /*stream*/) {
  return guarded(context, "destroy_comm_stream_ctx", []() -> Result<void> { return {}; });
}
}
