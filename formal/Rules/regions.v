(** rules.md, regions: inputs of one label each, and how far what enters each neuron ranges in them. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Facts Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Listing Regions.Labels.
From Compact Require Import General.Heads General.Balls General.Tables General.Ends General.Problem General.InRegions General.Joint General.Ahead.
From Compact Require Import General.Statements General.Prepared.
Import ListNotations.
Open Scope Z_scope.

Section Program.
Variables (w : layer_weights) (P : problem) (bits : Z).
Notation m := (size_m w).
Notation k := (size_k w).

Definition require_group (g : group) : outcome unit :=
  require (automaton_fits g (size_v w)) bad_automaton
  (require (Nat.ltb (Groups.label_of g) m && forallb (watches g m) (Groups.rivals g) && queries_fit (readout P) (allowed P) g) no_such_region
  (require (labels_fit (start (answer P)) (step_read P) (label_number w P) same_state state_before (readout P) (allowed P) g) wrong_label (Fine tt))).

Fixpoint require_groups (groups : list group) : outcome unit :=
  match groups with
  | [] => Fine tt
  | g :: rest => match require_group g with Fine _ => require_groups rest | Refused why => Refused why end
  end.

(** Of the neurons from [j] on, a row of hints for each: for each head a bound from below, then for each one from above. *)
Fixpoint ends_of_neurons (ready : prepared) (rg : region) (weights : list weighed) (own : ball) (j : nat) (rows : list (list Z)) : outcome (list Z) :=
  match rows with
  | [] => Fine []
  | row :: rest =>
      let heads := length weights in
      let (lows, highs) := (firstn heads row, skipn heads row) in
      require (Nat.eqb (length row) (2 * heads)) wrong_shape
      (require (neuron_hinted rg m j (Tables.of_heads (its_tables ready)) (map its_ends weights) lows highs) mean_above_bound
      match ends_of_neurons ready rg weights own (S j) rest with
      | Refused why => Refused why
      | Fine more =>
          let centre_ := nth (m + j) (centre own) 0 in
          Fine (centre_ - radius own + add_up lows :: centre_ + radius own + add_up highs :: more)
      end)
  end.

Fixpoint ranges_of_regions (ready : prepared) (regions : list region) (hints : list (list (list Z))) : outcome (list (list Z)) :=
  match regions, hints with
  | [], [] => Fine []
  | rg :: regions', rows :: hints' =>
      require (Nat.eqb (length rows) k) wrong_shape
      match weights_in w P ready rg with
      | Refused why => Refused why
      | Fine weights =>
          match ends_of_neurons ready rg weights (nth (query rg) (passing (its_tables ready)) (Ball [] 0)) 0 rows with
          | Refused why => Refused why
          | Fine row =>
              match ranges_of_regions ready regions' hints' with Refused why => Refused why | Fine rest => Fine (row :: rest) end
          end
      end
  | _, _ => Refused wrong_shape
  end.

(** Without neurons there is an entry without hints for each region, and nothing to work out. *)
Definition regions (groups : list group) (hints : list (list (list Z))) : outcome statement :=
  require (0 <=? bits) out_of_range
  match require_groups groups with
  | Refused why => Refused why
  | Fine _ =>
      let all := regions_of (readout P) (allowed P) groups in
      if Nat.eqb k 0 then
        require (Nat.eqb (length hints) (length all) && forallb (fun rows => Nat.eqb (length rows) 0) hints) wrong_shape
        (Fine (Regions bits groups (map (fun _ => []) hints)))
      else
        match ranges_of_regions (prepare w P bits groups) all hints with
        | Refused why => Refused why
        | Fine ranges => Fine (Regions bits groups ranges)
        end
  end.
End Program.

Section Sound.
Variables (w : layer_weights) (P : problem) (margin : R) (bits : Z).
Hypothesis fits : problem_fits w P = true.
Notation m := (size_m w).
Notation k := (size_k w).
Notation r := (readout P).

Lemma groups_right : forall groups, require_groups w P groups = Fine tt -> Forall (fun g => group_right w P g = true) groups.
Proof.
  induction groups as [|g groups IH]; intros G; [constructor|]. cbn [require_groups] in G.
  destruct (require_group w P g) as [[]|] eqn:One; [|discriminate]. constructor; [|exact (IH G)].
  unfold require_group in One. apply require_fine in One. destruct One as [A One]. apply require_fine in One. destruct One as [C One].
  apply require_fine in One. destruct One as [D _]. rewrite !andb_true_iff in C. unfold group_right, valid. rewrite !andb_true_iff. tauto.
Qed.

Section Neurons.
Variable groups : list group.
Hypothesis natural : 0 <= bits.
Hypothesis right : Forall (fun g => group_right w P g = true) groups.
Notation ready := (prepare w P bits groups).
Notation all_regions := (regions_of r (allowed P) groups).

Lemma ends_of_neurons_right : forall rg weights rows j row x, In rg all_regions -> weights_in w P ready rg = Fine weights ->
  In x (inputs (allowed P)) -> member r rg x = true -> (j + length rows <= k)%nat ->
  ends_of_neurons w ready rg weights (nth (query rg) (passing (its_tables ready)) (Ball [] 0)) j rows = Fine row ->
  forall i, (i < length rows)%nat ->
    (IZR (nth (2 * i) row 0%Z) <= entering_neuron (layer_of w) x r (j + i) * powerRZ 2 bits <= IZR (nth (2 * i + 1) row 0%Z))%R.
Proof.
  intros rg weights rows. induction rows as [|hints rows IH]; intros j row x I W input inside small E i Hi; [cbn in Hi; lia|].
  cbn [ends_of_neurons] in E. apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [hinted E].
  destruct (ends_of_neurons _ _ _ _ _ _ _) as [more|] eqn:More; [|discriminate]. apply fine_eq in E. subst row. cbn [length] in small, Hi.
  destruct i as [|i].
  - cbn [Nat.mul Nat.add nth]. rewrite Nat.add_0_r.
    destruct (weights_ready w P bits groups fits right rg x weights I input inside W) as [known Ew].
    refine (neuron_in_range w P bits groups rg x fits natural I input inside known j _ _ ltac:(lia) _).
    assert (Ee : map its_ends weights = map (fun one => ends_read (flags_of w P rg) (powers_at w P bits (query rg) one)) (Tables.of_heads (its_tables ready)))
      by (rewrite Ew, map_map; reflexivity).
    rewrite Ee in hinted. exact hinted.
  - specialize (IH (S j) more x I W input inside ltac:(lia) More i ltac:(lia)).
    replace (2 * S i)%nat with (S (S (2 * i))) by lia. replace (S (S (2 * i)) + 1)%nat with (S (S (2 * i + 1))) by lia. cbn [nth].
    replace (j + S i)%nat with (S j + i)%nat by lia. exact IH.
Qed.

Lemma ends_of_neurons_length : forall ready_ rg weights own rows j row, ends_of_neurons w ready_ rg weights own j rows = Fine row ->
  length row = (2 * length rows)%nat.
Proof.
  intros ready_ rg weights own. induction rows as [|hints rows IH]; intros j row E; cbn [ends_of_neurons] in E; [apply fine_eq in E; now subst row|].
  apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [_ E].
  destruct (ends_of_neurons _ _ _ _ _ _ _) as [more|] eqn:More; [|discriminate]. apply fine_eq in E. subst row. cbn [length]. rewrite (IH _ _ More). lia.
Qed.

Lemma ranges_right : forall regs hints ranges, (forall rg, In rg regs -> In rg all_regions) ->
  ranges_of_regions w P ready regs hints = Fine ranges -> Forall2 (range_true w P bits) regs ranges.
Proof.
  induction regs as [|rg regs IH]; intros [|rows hints] ranges sub E; try discriminate; cbn [ranges_of_regions] in E; [apply fine_eq in E; subst; constructor|].
  apply require_fine in E. destruct E as [Len E]. apply Nat.eqb_eq in Len.
  destruct (weights_in w P ready rg) as [weights|] eqn:W; [|discriminate].
  destruct (ends_of_neurons _ _ _ _ _ _ _) as [row|] eqn:Row; [|discriminate].
  destruct (ranges_of_regions _ _ _ _ _) as [rest|] eqn:Rest; [|discriminate]. apply fine_eq in E. subst ranges. constructor.
  - split; [rewrite (ends_of_neurons_length _ _ _ _ _ _ _ Row); lia|]. intros x j input inside J.
    apply (ends_of_neurons_right rg weights rows 0 row x); auto; [apply sub; now left | lia | lia].
  - apply (IH hints); [intros; apply sub; now right | exact Rest].
Qed.
End Neurons.

Theorem regions_sound : forall groups hints f, regions w P bits groups hints = Fine f -> means w P margin f.
Proof.
  intros groups hints f E. unfold regions in E. apply require_fine in E. destruct E as [B E]. apply Z.leb_le in B.
  destruct (require_groups w P groups) as [[]|] eqn:G; [|discriminate]. apply groups_right in G.
  destruct (Nat.eqb k 0) eqn:none.
  - apply Nat.eqb_eq in none. apply require_fine in E. destruct E as [T E]. apply fine_eq in E. subst f. apply andb_prop in T. destruct T as [Len _]. apply Nat.eqb_eq in Len.
    split; [exact B|]. split; [exact G|]. unfold all_ranged. revert hints Len. induction (regions_of r (allowed P) groups) as [|rg regs IH]; intros [|rows hints] Len; try discriminate; [constructor|].
    cbn [map]. constructor; [|apply IH; cbn in Len; lia]. split; [now rewrite none|]. intros x j _ _ J. lia.
  - destruct (ranges_of_regions _ _ _ _ _) as [ranges|] eqn:Ranges; [|discriminate]. apply fine_eq in E. subst f.
    split; [exact B|]. split; [exact G|]. unfold all_ranged. now apply ranges_right with (groups := groups) (hints := hints).
Qed.
End Sound.
