"""What an error answer is: its class in the official SDK, and one word for records.

`error.type` and `error.details.error_code`: docs.claude.com, errors. The classes are those of the Python SDK 2.11.
"""

from __future__ import annotations

_BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    408: "RequestTimeoutError",
    409: "ConflictError",
    412: "PreconditionFailedError",
    413: "ContentTooLargeError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    431: "RequestHeaderFieldsTooLargeError",
    499: "ClientClosedRequestError",
    501: "HTTPNotImplementedError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    529: "OverloadedError",
}

CODES = {
    (400, "already_member"): "AlreadyMemberError",
    (400, "available_tools_limit_exceeded"): "AvailableToolsLimitExceededError",
    (400, "bundle_attachment_not_supported"): "BetaBundleAttachmentNotSupportedError",
    (400, "bundle_on_call"): "BetaBundleOnCallError",
    (400, "cannot_invite_emails_with_unverified_domains"): "CannotInviteEmailsWithUnverifiedDomainsError",
    (400, "cannot_remove_last_member"): "CannotRemoveLastMemberError",
    (400, "cannot_sign_out_primary_owner"): "BetaCannotSignOutPrimaryOwnerError",
    (400, "cannot_sign_out_self"): "BetaCannotSignOutSelfError",
    (400, "claude_code_key_creator_not_member"): "ClaudeCodeKeyCreatorNotMemberError",
    (400, "claude_code_version_too_old"): "ClaudeCodeVersionTooOldError",
    (400, "cmek_feature_unsupported"): "BetaCMEKFeatureUnsupportedError",
    (400, "cmek_key_disabled"): "CMEKKeyDisabledError",
    (400, "cmek_key_network_blocked"): "CMEKKeyNetworkBlockedError",
    (400, "compaction_block_ambiguous"): "CompactionBlockAmbiguousError",
    (400, "compaction_block_misplaced"): "CompactionBlockMisplacedError",
    (400, "compaction_content_mismatch"): "CompactionContentMismatchError",
    (400, "compaction_incomplete_turn"): "CompactionIncompleteTurnError",
    (400, "compaction_nothing_to_summarize"): "CompactionNothingToSummarizeError",
    (400, "compaction_signature_invalid"): "CompactionSignatureInvalidError",
    (400, "compaction_too_many_tool_references"): "CompactionTooManyToolReferencesError",
    (400, "compaction_tool_changes_mismatch"): "CompactionToolChangesMismatchError",
    (400, "email_domain_not_allowed"): "EmailDomainNotAllowedError",
    (400, "environment_archived"): "BetaEnvironmentArchivedError",
    (400, "external_key_in_workspace_policy"): "ExternalKeyInWorkspacePolicyError",
    (400, "external_key_validation_failed"): "ExternalKeyValidationFailedError",
    (400, "external_key_validation_timed_out"): "ExternalKeyValidationTimedOutError",
    (400, "file_not_downloadable"): "FileNotDownloadableError",
    (400, "image_dimensions_too_large"): "ImageDimensionsTooLargeError",
    (400, "invalid_config_type_change"): "BetaInvalidConfigTypeChangeError",
    (400, "invalid_metadata"): "BetaInvalidMetadataError",
    (400, "invite_already_exists"): "InviteAlreadyExistsError",
    (400, "key_profile_mismatch"): "KeyProfileMismatchError",
    (400, "org_api_key_limit_exceeded"): "OrgAPIKeyLimitExceededError",
    (400, "org_member_limit_exceeded"): "OrgMemberLimitExceededError",
    (400, "organization_not_enrolled_in_beta"): "BetaOrganizationNotEnrolledInBetaError",
    (400, "organization_on_hold"): "OrganizationOnHoldError",
    (400, "organization_type_not_supported"): "OrganizationTypeNotSupportedError",
    (400, "parent_organization_required"): "ParentOrganizationRequiredError",
    (400, "rbac_group_grants_owner_access"): "RBACGroupGrantsOwnerAccessError",
    (400, "rbac_group_order_limit_exceeded"): "BetaRBACGroupOrderLimitExceededError",
    (400, "rbac_group_owner_access_unconfirmed"): "RBACGroupOwnerAccessUnconfirmedError",
    (400, "request_body_encoding_invalid"): "RequestBodyEncodingInvalidError",
    (400, "request_body_encoding_unsupported"): "RequestBodyEncodingUnsupportedError",
    (400, "request_body_timeout"): "BetaRequestBodyTimeoutError",
    (400, "scan_failed"): "BetaScanFailedError",
    (400, "settings_document_limit_exceeded"): "BetaSettingsDocumentLimitExceededError",
    (400, "settings_history_limit_exceeded"): "BetaSettingsHistoryLimitExceededError",
    (400, "slack_channel_set_up_settings_refused"): "BetaSlackChannelSetUpSettingsRefusedError",
    (400, "storage_quota_exceeded"): "StorageQuotaExceededError",
    (400, "thread_already_continued"): "ThreadAlreadyContinuedError",
    (400, "thread_continue_in_flight"): "ThreadContinueInFlightError",
    (400, "thread_fingerprint_mismatch"): "ThreadFingerprintMismatchError",
    (400, "thread_unsupported_request"): "ThreadUnsupportedRequestError",
    (400, "tool_name_conflict"): "ToolNameConflictError",
    (400, "tool_reference_unresolved"): "ToolReferenceUnresolvedError",
    (400, "unsupported_charset"): "BetaUnsupportedCharsetError",
    (400, "user_profile_not_found"): "UserProfileNotFoundError",
    (400, "user_profile_required"): "UserProfileRequiredError",
    (400, "workspace_api_key_limit_exceeded"): "WorkspaceAPIKeyLimitExceededError",
    (400, "workspace_member_limit_exceeded"): "WorkspaceMemberLimitExceededError",
    (400, "workspace_policy_violation"): "WorkspacePolicyViolationError",
    (402, "linked_organization_billing_unavailable"): "LinkedOrganizationBillingUnavailableError",
    (402, "linked_organization_spend_limit_reached"): "LinkedOrganizationSpendLimitReachedError",
    (403, "api_key_scope_missing"): "BetaAPIKeyScopeMissingError",
    (403, "cannot_sign_out_managed_member"): "BetaCannotSignOutManagedMemberError",
    (403, "cannot_sign_out_membership_admin"): "BetaCannotSignOutMembershipAdminError",
    (403, "cannot_sign_out_owner"): "BetaCannotSignOutOwnerError",
    (403, "cannot_sign_out_privileged_member"): "BetaCannotSignOutPrivilegedMemberError",
    (403, "claude_tag_writes_not_enabled"): "BetaClaudeTagWritesNotEnabledError",
    (403, "compliance_configuration_restricted"): "BetaComplianceConfigurationRestrictedError",
    (403, "environment_create_disabled"): "BetaEnvironmentCreateDisabledError",
    (403, "environment_update_disabled"): "BetaEnvironmentUpdateDisabledError",
    (403, "organization_level_scoped_api_key_required"): "BetaOrganizationLevelScopedAPIKeyRequiredError",
    (403, "sandbox_egress_restricted"): "SandboxEgressRestrictedError",
    (403, "spend_limits_admin_api_writes_not_enabled"): "BetaSpendLimitsAdminAPIWritesNotEnabledError",
    (403, "user_profile_billing_not_authorized"): "UserProfileBillingNotAuthorizedError",
    (403, "user_profile_not_billable"): "UserProfileNotBillableError",
    (404, "environment_not_found"): "BetaEnvironmentNotFoundError",
    (404, "file_expired"): "FileExpiredError",
    (404, "rbac_group_managed_settings_not_found"): "BetaRBACGroupManagedSettingsNotFoundError",
    (404, "rbac_group_not_found"): "BetaRBACGroupNotFoundError",
    (404, "rbac_role_not_found"): "RBACRoleNotFoundError",
    (404, "slack_channel_set_up_environment_not_found"): "BetaSlackChannelSetUpEnvironmentNotFoundError",
    (404, "thread_not_found"): "ThreadNotFoundError",
    (409, "concurrent_membership_change"): "ConcurrentMembershipChangeError",
    (409, "external_key_changed"): "ExternalKeyChangedError",
    (409, "plugin_name_taken"): "BetaPluginNameTakenError",
    (409, "scan_pending"): "BetaScanPendingError",
    (409, "skill_name_taken"): "BetaSkillNameTakenError",
    (409, "skill_read_blocked_undecryptable"): "SkillReadBlockedUndecryptableError",
    (409, "slack_channel_set_up_settings_conflict"): "BetaSlackChannelSetUpSettingsConflictError",
    (412, "heartbeat_precondition_failed"): "BetaHeartbeatPreconditionFailedError",
    (413, "request_body_too_large_after_decoding"): "RequestBodyTooLargeAfterDecodingError",
    (429, "contract_spend_limit_reached"): "ContractSpendLimitReachedError",
    (429, "enforced_spend_limit_reached"): "EnforcedSpendLimitReachedError",
    (429, "ramp_limit_exceeded"): "RampLimitExceededError",
    (503, "cmek_context_unavailable"): "CMEKContextUnavailableError",
    (503, "cmek_key_unreachable"): "CMEKKeyUnreachableError",
    (503, "registration_pending"): "BetaRegistrationPendingError",
    (529, "compaction_unavailable"): "CompactionUnavailableError",
}

#: Words for records, by `error.type`.
_KINDS = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "api_error": "api",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}

_SPEND_CODES = frozenset(
    (
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
    )
)
_SPEND_MESSAGES = (
    "You have reached your specified API usage limits",
    "You have reached your specified workspace API usage limits",
    "You have reached your API usage limits",
)


def error_class(status: int, error_code: str | None) -> str:
    """The name of the exception the official SDK raises for an error answer.

    `status` is that of the response, so 200 for an error inside a stream.
    """
    by_code = CODES.get((status, error_code)) if error_code is not None else None
    return by_code or _BY_STATUS.get(status) or ("InternalServerError" if status >= 500 else "APIStatusError")


def kind(status: int, error_type: str | None, error_code: str | None, message: str | None) -> str:
    """One word: spend_limit | ramp_limit | rate_limit | overloaded | authentication | billing | permission |
    not_found | conflict | invalid_request | too_large | timeout | api | other.

    A spend limit is one that waiting minutes does not cure, though it may come as a 429 or even a 400.
    """
    if error_code in _SPEND_CODES or (message is not None and message.startswith(_SPEND_MESSAGES)):
        return "spend_limit"
    if error_code == "ramp_limit_exceeded":
        return "ramp_limit"
    if error_type in _KINDS:
        return _KINDS[error_type]
    return "api" if status >= 500 else "other"
