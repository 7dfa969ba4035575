from agb.context_sync import MappingPolicy, SyncPolicy, UploadPolicy, DownloadPolicy, DeletePolicy, ExtractPolicy

import os
import time
from agb import AGB
from agb.context_sync import ContextSync, SyncPolicy, UploadPolicy, DownloadPolicy, DeletePolicy, ExtractPolicy
from agb.session_params import CreateSessionParams

# Initialize AGB client
ab = AGB()

# Create a context
context_result = ab.context.get(name="cross-platform-context", create=True)
context = context_result.context

# Define the original path (e.g., in a browser session)
original_path = "/tmp/mapping"

# Create sync policy for the first session (no mapping needed)
sync_policy = SyncPolicy(
    upload_policy=UploadPolicy(),
    download_policy=DownloadPolicy(),
    delete_policy=DeletePolicy(),
    extract_policy=ExtractPolicy()
)

# Create session with context sync
context_sync = ContextSync.new(context.id, original_path, sync_policy)
session_params = CreateSessionParams(
    image_id="agb-browser-use-1",
    context_syncs=[context_sync],
    labels={"purpose": "data-creation"}
)

# Create session
session_result = ab.create(session_params)
session = session_result.session

# Create test data
test_file_path = f"{original_path}/test-file.txt"
test_content = "This file was created in the first session"

# Create file in session
create_cmd = f'echo "{test_content}" > "{test_file_path}"'
session.command.execute(create_cmd)

# Sync to persist data
import asyncio
sync_result = asyncio.run(session.context.sync())
print(f"Data synced successfully: {sync_result.success}")

# Clean up session
ab.delete(session)

# Define the target path for the new session
target_path = "/home/data"

# Create mapping policy with the original path
mapping_policy = MappingPolicy(path=original_path)

# Create sync policy with mapping policy
sync_policy_with_mapping = SyncPolicy(
    upload_policy=UploadPolicy(),
    download_policy=DownloadPolicy(),
    delete_policy=DeletePolicy(),
    extract_policy=ExtractPolicy(),
    mapping_policy=mapping_policy
)

# Create new session with mapping
context_sync = ContextSync.new(context.id, target_path, sync_policy_with_mapping)
session_params = CreateSessionParams(
    image_id="agb-code-space-1",
    context_syncs=[context_sync],
    labels={"purpose": "data-access"}
)

# Create session
session_result = ab.create(session_params)
session = session_result.session

# Wait for data to be downloaded
time.sleep(15)

# Access the file at the new path
target_file_path = f"{target_path}/test-file.txt"
read_cmd = f'cat "{target_file_path}"'
result = session.command.execute(read_cmd)

print(f"File content: {result.output}")
# Output: This file was created in the first session

# Clean up
ab.delete(session)
ab.context.delete(context)
