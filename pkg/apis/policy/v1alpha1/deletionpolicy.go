package v1alpha1

import (
	"encoding/json"
	"errors"
)

// UnmarshalJSON refuses an empty deletion policy. Defaulting cannot tell it from one that
// is left out, so a manifest that says "" would differ from what is served for ever.
func (p *DeletionPolicy) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == "" {
		return errors.New(`deletionPolicy must be "Delete" or "Orphan": to have the default, leave the field out`)
	}
	*p = DeletionPolicy(text)
	return nil
}

// UnmarshalJSON refuses an empty verification, for the same reason.
func (v *RolloutVerification) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if text == "" {
		return errors.New(`verify must be "Written" or "ClusterReady": to have the default, leave the field out`)
	}
	*v = RolloutVerification(text)
	return nil
}
