(** CERTIFICATE.md, section 4: facts about regions and weights of inputs, what they mean, and when a stated one follows. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Spec.Loss Integer.Dyadic Integer.Tables Facts Premises.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Listing Regions.Labels.
From Compact Require Import General.Heads General.Tables General.Ends General.Problem.
Import ListNotations.
Open Scope Z_scope.

(** [ranges] has, for each region, both ends of what enters each neuron. [gaps] has a number for each region and class of
    its group. *)
Inductive statement :=
| Regions (bits : Z) (groups : list group) (ranges : list (list Z))
| Region_gaps (bits : Z) (groups : list group) (ranges gaps : list (list Z))
| Tally_of_weights (counts : list entry_of_tally)
| Accuracy_of_weights (right missed : Z)
| Profile_of_weights (right missed : Z) (ladder : list (fraction * (Z * Z))) (mean : fraction).  (** margins, with counts; the mean loss *)

Section Meaning.
Variables (w : layer_weights) (P : problem) (margin : R).
Notation L := (layer_of w).

(** Every input that reaches a part of the group has its label; the classes hold outputs other than this. *)
Definition group_right (g : group) : bool :=
  valid (start (answer P)) (step_read P) (label_number w P) same_state state_before (readout P) (allowed P) g (size_v w) (size_m w).

Definition range_true (bits : Z) (rg : region) (row : list Z) : Prop :=
  length row = (2 * size_k w)%nat /\
  forall x j, In x (inputs (allowed P)) -> member (readout P) rg x = true -> (j < size_k w)%nat ->
    (IZR (nth (2 * j) row 0%Z) <= entering_neuron L x (readout P) j * pow2 bits <= IZR (nth (2 * j + 1) row 0%Z))%R.

Definition all_ranged (bits : Z) (groups : list group) (ranges : list (list Z)) : Prop :=
  Forall2 (range_true bits) (regions_of (readout P) (allowed P) groups) ranges.

Definition class_behind (bits : Z) (rg : region) (mask gap : Z) : Prop :=
  forall x y, In x (inputs (allowed P)) -> member (readout P) rg x = true -> In y (outputs_in (size_m w) mask) ->
    ((logit_at L x (readout P) y - logit_at L x (readout P) (Groups.label_of (group_of rg)) + margin) * pow2 bits <= IZR gap)%R.

Definition all_behind (bits : Z) (groups : list group) (gaps : list (list Z)) : Prop :=
  Forall2 (fun rg row => Forall2 (class_behind bits rg) (Groups.rivals (group_of rg)) row) (regions_of (readout P) (allowed P) groups) gaps.

(** Of the inputs with this label and a query of the set, at least [right] are correct and at least [missed] are not, by weight. *)
Definition of_cell (e : entry_of_tally) (x : list nat) : Prop :=
  right_answer P x = Facts.of_label e /\ Z.testbit (Facts.queries e) (Z.of_nat (nth (readout P) x 0%nat)) = true.

Definition entry_weighs (e : entry_of_tally) : Prop :=
  weigh_at_least P (right e) (fun x => answered L P margin x /\ of_cell e x) /\
  weigh_at_least P (missed e) (fun x => ~ answered L P margin x /\ of_cell e x).

Definition rung_true (a : fraction * (Z * Z)) : Prop :=
  weigh_at_least P (fst (snd a)) (answered L P (value_of (fst a))) /\ weigh_at_least P (snd (snd a)) (fun x => ~ answered L P (value_of (fst a)) x).

Definition means (f : statement) : Prop :=
  match f with
  | Regions bits groups ranges => 0 <= bits /\ Forall (fun g => group_right g = true) groups /\ all_ranged bits groups ranges
  | Region_gaps bits groups ranges gaps =>
      0 <= bits /\ Forall (fun g => group_right g = true) groups /\ all_ranged bits groups ranges /\ all_behind bits groups gaps
  | Tally_of_weights counts => Forall entry_weighs counts
  | Accuracy_of_weights right missed => weigh_at_least P right (answered L P margin) /\ weigh_at_least P missed (fun x => ~ answered L P margin x)
  | Profile_of_weights right missed ladder mean =>
      weigh_at_least P right (answered L P margin) /\ weigh_at_least P missed (fun x => ~ answered L P margin x) /\
      Forall rung_true ladder /\ 0 < snd mean /\ mean_loss_at_most L P (value_of mean)
  end.
End Meaning.

(** ** Entailment *)

Definition same_state_number (a b : option nat) : bool :=
  match a, b with Some n, Some n' => Nat.eqb n n' | None, None => true | _, _ => false end.

Definition same_group (a b : group) : bool :=
  Nat.eqb (Groups.label_of a) (Groups.label_of b) && (Groups.queries a =? Groups.queries b) && same_list Z.eqb (Groups.rivals a) (Groups.rivals b)
  && same_list Nat.eqb (symbols a) (symbols b) && same_list (same_list same_state_number) (next a) (next b)
  && same_list same_state_number (parts a) (parts b).

(** Lower and upper ends by turns. *)
Fixpoint no_narrower (derived stated : list Z) : bool :=
  match derived, stated with
  | low :: high :: derived', low' :: high' :: stated' => (low' <=? low) && (high <=? high') && no_narrower derived' stated'
  | _, _ => true
  end.

Definition regions_entail (bits : Z) (groups : list group) (ranges : list (list Z)) (bits' : Z) (groups' : list group) (ranges' : list (list Z)) : outcome unit :=
  require ((bits =? bits') && same_list same_group groups groups') wrong_region
    (each (fun d s => require (Nat.eqb (length d) (length s)) wrong_shape (require (no_narrower d s) range_too_narrow (Fine tt))) ranges ranges').

Definition rung_follows (derived stated : fraction * (Z * Z)) : outcome unit :=
  require (same_margin (fst derived) (fst stated)) wrong_margin
  (require ((fst (snd stated) <=? fst (snd derived)) && (snd (snd stated) <=? snd (snd derived))) count_too_large (Fine tt)).

Definition follows (derived stated : statement) : outcome unit :=
  match derived, stated with
  | Regions bits groups ranges, Regions bits' groups' ranges' => regions_entail bits groups ranges bits' groups' ranges'
  | Region_gaps bits groups ranges gaps, Region_gaps bits' groups' ranges' gaps' =>
      match regions_entail bits groups ranges bits' groups' ranges' with
      | Refused why => Refused why
      | Fine _ => each (each (fun d s => require (d <=? s) bound_too_small (Fine tt))) gaps gaps'
      end
  | Tally_of_weights counts, Tally_of_weights counts' => counts_entail counts counts'
  | Accuracy_of_weights c n, Accuracy_of_weights c' n' => require ((c' <=? c) && (n' <=? n)) count_too_large (Fine tt)
  | Profile_of_weights c n ladder mean, Profile_of_weights c' n' ladder' mean' =>
      require ((c' <=? c) && (n' <=? n)) count_too_large
      match each rung_follows ladder ladder' with
      | Refused why => Refused why
      | Fine _ => require ((0 <? snd mean') && (fst mean * snd mean' <=? fst mean' * snd mean)) loss_too_small (Fine tt)
      end
  | _, _ => Refused wrong_premises
  end.

Lemma same_list_eq : forall (A : Type) (same : A -> A -> bool) (a b : list A),
  (forall x y, same x y = true -> x = y) -> same_list same a b = true -> a = b.
Proof.
  intros A same a b eq. revert b. induction a as [|x a IH]; intros [|y b] E; try discriminate; [reflexivity|]. cbn [same_list] in E.
  apply andb_prop in E. destruct E as [E F]. now rewrite (eq _ _ E), (IH b F).
Qed.

Lemma same_group_eq : forall a b, same_group a b = true -> a = b.
Proof.
  assert (O : forall x y, same_state_number x y = true -> x = y).
  { intros [n|] [n'|] E; try discriminate; [|reflexivity]. apply Nat.eqb_eq in E. congruence. }
  intros [l q rs ss ns ps] [l' q' rs' ss' ns' ps'] E. unfold same_group in E.
  cbn [Groups.label_of Groups.queries Groups.rivals symbols next parts] in E. rewrite !andb_true_iff in E.
  destruct E as [[[[[E1 E2] E3] E4] E5] E6]. apply Nat.eqb_eq in E1. apply Z.eqb_eq in E2.
  apply same_list_eq in E3; [|intros; now apply Z.eqb_eq]. apply same_list_eq in E4; [|intros; now apply Nat.eqb_eq].
  apply same_list_eq in E5; [|intros x y Exy; now apply same_list_eq in Exy]. apply same_list_eq in E6; [|exact O]. congruence.
Qed.

Lemma no_narrower_sound : forall j derived stated, no_narrower derived stated = true -> length derived = length stated ->
  (2 * j + 1 < length stated)%nat ->
  nth (2 * j) stated 0 <= nth (2 * j) derived 0 /\ nth (2 * j + 1) derived 0 <= nth (2 * j + 1) stated 0.
Proof.
  induction j as [|j IH]; intros [|lo [|hi derived]] [|lo' [|hi' stated]] E Len small; try (cbn in Len, small; lia);
    cbn [no_narrower] in E; rewrite !andb_true_iff, !Z.leb_le in E; destruct E as [[E1 E2] E3]; [split; assumption|].
  specialize (IH derived stated E3 ltac:(cbn in Len; lia) ltac:(cbn in small; lia)).
  replace (2 * S j)%nat with (S (S (2 * j))) by lia. replace (S (S (2 * j)) + 1)%nat with (S (S (2 * j + 1))) by lia. exact IH.
Qed.

Lemma regions_entail_sound : forall w P bits groups ranges bits' groups' ranges',
  regions_entail bits groups ranges bits' groups' ranges' = Fine tt -> all_ranged w P bits groups ranges ->
  bits = bits' /\ groups = groups' /\ all_ranged w P bits groups ranges'.
Proof.
  intros w P bits groups ranges bits' groups' ranges' E all. unfold regions_entail in E. apply require_fine in E. destruct E as [E R].
  apply andb_prop in E. destruct E as [E F]. apply Z.eqb_eq in E. apply same_list_eq in F; [|exact same_group_eq].
  split; [exact E|]. split; [exact F|]. clear E F. unfold all_ranged in *. apply each_sound in R. destruct R as [Len R].
  revert ranges' Len R. induction all as [|rg row regs rows [Lr each_] _ IH]; intros [|row' ranges'] Len R; try discriminate; constructor.
  - specialize (R 0%nat [] [] ltac:(cbn; lia)). cbn [nth] in R. apply require_fine in R. destruct R as [R1 R2]. apply Nat.eqb_eq in R1.
    apply require_fine in R2. destruct R2 as [R2 _]. split; [congruence|]. intros x j I M J.
    destruct (no_narrower_sound j row row' R2 R1 ltac:(lia)) as [lo hi]. apply IZR_le in lo. apply IZR_le in hi. specialize (each_ x j I M J). lra.
  - apply IH; [cbn in Len; lia|]. intros i d s I. apply (R (Datatypes.S i) d s). cbn. lia.
Qed.

Lemma weigh_less : forall P n n' (A B : list nat -> Prop), weigh_at_least P n A -> n' <= n -> (forall x, A x -> B x) -> weigh_at_least P n' B.
Proof.
  intros P n n' A B (xs & U & all & many) less weaker. exists xs. split; [exact U|]. split; [|lia].
  revert all. apply Forall_impl. intros x [pos H]. auto.
Qed.

Theorem follows_sound : forall w P margin derived stated, follows derived stated = Fine tt ->
  means w P margin derived -> means w P margin stated.
Proof.
  intros w P margin derived stated E D. destruct derived as [bits groups ranges|bits groups ranges gaps|counts|c n|c n ladder mean],
    stated as [bits' groups' ranges'|bits' groups' ranges' gaps'|counts'|c' n'|c' n' ladder' mean']; try discriminate; cbn [follows means] in *.
  - destruct D as (B & G & R). apply (regions_entail_sound w P) in E; [|exact R]. destruct E as (<- & <- & R'). now repeat split.
  - destruct (regions_entail _ _ _ _ _ _) as [[]|] eqn:R; [|discriminate]. destruct D as (B & G & ranged & all).
    apply (regions_entail_sound w P) in R; [|exact ranged]. destruct R as (<- & <- & R'). split; [exact B|]. split; [exact G|]. split; [exact R'|]. clear B G ranged R'. unfold all_behind in *. apply each_sound in E. destruct E as [Len E].
    revert gaps' Len E. induction all as [|rg row regs gaps each_ all IH]; intros [|row' gaps'] Len E; try discriminate; constructor.
    + specialize (E 0%nat [] [] ltac:(cbn; lia)). cbn [nth] in E. apply each_sound in E. destruct E as [Len' E]. clear - each_ Len' E.
      revert row' Len' E. induction each_ as [|mask gap masks row behind _ IH]; intros [|gap' row'] Len E; try discriminate; constructor.
      * specialize (E 0%nat 0 0 ltac:(cbn; lia)). cbn [nth] in E. apply require_fine in E. destruct E as [E _]. apply Z.leb_le, IZR_le in E.
        intros x y I M Y. apply Rle_trans with (2 := E). now apply behind.
      * apply IH; [cbn in Len; lia|]. intros i d s I. apply (E (Datatypes.S i) d s). cbn. lia.
    + apply IH; [cbn in Len; lia|]. intros i d s I. apply (E (Datatypes.S i) d s). cbn. lia.
  - apply each_sound in E. destruct E as [Len E]. apply Forall_forall. intros e I. apply (In_nth _ _ e) in I. destruct I as (i & I & <-).
    specialize (E i e e I). apply require_fine in E. destruct E as [same E]. apply require_fine in E. destruct E as [less _].
    rewrite !andb_true_iff, !Z.eqb_eq in same. rewrite andb_true_iff, !Z.leb_le in less. destruct same as [[SL SQ] SN].
    rewrite Forall_forall in D. destruct (D (nth i counts e)) as [R M]; [apply nth_In; lia|].
    assert (same : forall x, of_cell P (nth i counts e) x -> of_cell P (nth i counts' e) x) by (intros x (Lab & Q); split; [congruence | now rewrite <- SQ]).
    split; [apply weigh_less with (1 := R) | apply weigh_less with (1 := M)]; try lia; intros x [A C]; auto.
  - apply require_fine in E. destruct E as [E _]. rewrite andb_true_iff, !Z.leb_le in E. destruct D as [D M].
    split; [apply weigh_less with (1 := D) | apply weigh_less with (1 := M)]; try lia; auto.
  - apply require_fine in E. destruct E as [less E]. rewrite andb_true_iff, !Z.leb_le in less.
    destruct (each rung_follows ladder ladder') as [[]|] eqn:R; [|discriminate]. apply require_fine in E. destruct E as [T _].
    rewrite andb_true_iff, Z.ltb_lt, Z.leb_le in T. destruct T as [pos' T]. destruct D as (A & B & rungs & pos & mean_).
    split; [apply weigh_less with (1 := A); [lia | auto]|]. split; [apply weigh_less with (1 := B); [lia | auto]|]. split; [|split; [exact pos'|]].
    + apply each_sound in R. destruct R as [Len R]. apply Forall_forall. intros a I. apply (In_nth _ _ a) in I. destruct I as (i & I & <-).
      specialize (R i a a I). apply require_fine in R. destruct R as [same R]. apply same_margin_eq in same. apply require_fine in R. destruct R as [R _].
      rewrite andb_true_iff, !Z.leb_le in R. rewrite Forall_forall in rungs. destruct (rungs (nth i ladder a)) as [C D']; [apply nth_In; lia|].
      rewrite same in C, D'. split; [apply weigh_less with (1 := C) | apply weigh_less with (1 := D')]; try lia; auto.
    + destruct mean_ as (xs & U & all & sum_). exists xs. split; [exact U|]. split; [exact all|]. apply Rle_trans with (1 := sum_).
      assert (total : (0 <= IZR (total_weight (allowed P) xs))%R).
      { apply (IZR_le 0). assert (G : forall x, In x xs -> 0 < weight_of_input (allowed P) x) by (intros; now apply all). clear - G.
        induction xs as [|x xs IH]; cbn [total_weight fold_right]; [lia|]. fold (total_weight (allowed P) xs).
        pose proof (G x (or_introl eq_refl)). assert (0 <= total_weight (allowed P) xs) by (apply IH; intros; apply G; now right). lia. }
      apply Rmult_le_compat_r; [exact total|]. unfold value_of. apply IZR_le in T. rewrite !mult_IZR in T. apply IZR_lt in pos, pos'.
      apply Rmult_le_reg_r with (IZR (snd mean) * IZR (snd mean'))%R; [nra|].
      replace (IZR (fst mean) / IZR (snd mean) * (IZR (snd mean) * IZR (snd mean')))%R with (IZR (fst mean) * IZR (snd mean'))%R by (field; lra).
      replace (IZR (fst mean') / IZR (snd mean') * (IZR (snd mean) * IZR (snd mean')))%R with (IZR (fst mean') * IZR (snd mean))%R by (field; lra).
      exact T.
Qed.
