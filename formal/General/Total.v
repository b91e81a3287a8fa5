(** rules.md, total: the sum of all counts, where inputs have weights. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Tables Count.Counting Facts General.Tables General.Problem General.Statements.
Import ListNotations.
Open Scope Z_scope.

Section Total.
Variables (w : layer_weights) (P : problem).

Definition is_cell (e : entry_of_tally) : bool :=
  (0 <=? Facts.of_label e) && (Facts.of_label e <? Z.of_nat (size_m w))
  && (0 <? Facts.queries e) && (Facts.queries e <? Z.shiftl 1 (Z.of_nat (size_v w)))
  && (0 <? ns e) && (ns e <? Z.shiftl 1 (Z.of_nat (length (allowed P)))) && (0 <=? right e) && (0 <=? missed e).

(** No label and query are in both. *)
Definition disjoint (a b : entry_of_tally) : bool :=
  negb (Facts.of_label a =? Facts.of_label b) || (Z.land (Facts.queries a) (Facts.queries b) =? 0).

Fixpoint all_disjoint (l : list entry_of_tally) : bool :=
  match l with [] => true | e :: rest => forallb (disjoint e) rest && all_disjoint rest end.

(** The same, label by label: there may be many. *)
Definition disjoint_by_label (l : list entry_of_tally) : bool :=
  forallb (fun label => all_disjoint (filter (fun e => Facts.of_label e =? Z.of_nat label) l)) (seq 0 (size_m w)).

Fixpoint counts_of (premises : list statement) : outcome (list entry_of_tally) :=
  match premises with
  | [] => Fine []
  | Tally_of_weights counts :: rest => match counts_of rest with Fine more => Fine (counts ++ more) | Refused why => Refused why end
  | _ :: _ => Refused wrong_premises
  end.

Definition total_of_weights (premises : list statement) : outcome statement :=
  require (negb (Nat.eqb (length premises) 0)) wrong_premises
  match counts_of premises with
  | Refused why => Refused why
  | Fine entries =>
      require (forallb is_cell entries) no_such_region
      (require (disjoint_by_label entries) region_covered_twice
      (Fine (Accuracy_of_weights (add_up (map right entries)) (add_up (map missed entries)))))
  end.

Lemma disjoint_by_label_all : forall l, (forall e, In e l -> 0 <= Facts.of_label e < Z.of_nat (size_m w)) ->
  disjoint_by_label l = true -> all_disjoint l = true.
Proof.
  intros l. unfold disjoint_by_label. rewrite forallb_forall. induction l as [|e l IH]; intros small each; [reflexivity|].
  cbn [all_disjoint]. apply andb_true_iff. split.
  - apply forallb_forall. intros x I. destruct (Facts.of_label e =? Facts.of_label x) eqn:same; [|unfold disjoint; now rewrite same].
    apply Z.eqb_eq in same. pose proof (small e (or_introl eq_refl)) as range.
    specialize (each (Z.to_nat (Facts.of_label e)) ltac:(apply in_seq; lia)). rewrite Z2Nat.id in each by lia.
    cbn [filter] in each. rewrite Z.eqb_refl in each. cbn [all_disjoint] in each. apply andb_prop in each. destruct each as [each _].
    rewrite forallb_forall in each. apply each, filter_In. split; [exact I | now apply Z.eqb_eq].
  - apply IH; [intros; apply small; now right|]. intros label L. specialize (each label L). cbn [filter] in each.
    destruct (Facts.of_label e =? Z.of_nat label); [|exact each]. cbn [all_disjoint] in each. now apply andb_prop in each.
Qed.

Lemma total_weight_app : forall rows a b, total_weight rows (a ++ b) = total_weight rows a + total_weight rows b.
Proof.
  intros rows a b. unfold total_weight. induction a as [|x a IH]; [reflexivity|]. cbn [app fold_right]. lia.
Qed.

Lemma counts_true : forall margin premises entries, Forall (means w P margin) premises -> counts_of premises = Fine entries ->
  Forall (entry_weighs w P margin) entries.
Proof.
  induction premises as [|p premises IH]; intros entries all E; cbn in E; [inversion E; constructor|].
  inversion all as [|? ? H T]; subst. destruct p as [| |counts| |]; try discriminate.
  destruct (counts_of premises) as [more|]; [|discriminate]. inversion E; subst. apply Forall_app. split; [exact H | now apply IH].
Qed.

Lemma disjoint_sound : forall a b x, disjoint a b = true -> of_cell P a x -> of_cell P b x -> False.
Proof.
  intros a b x T [L1 Q1] [L2 Q2]. unfold disjoint in T. apply orb_prop in T. destruct T as [T|T].
  - rewrite <- L1, <- L2, Z.eqb_refl in T. discriminate.
  - apply Z.eqb_eq in T. assert (B : Z.testbit (Z.land (Facts.queries a) (Facts.queries b)) (Z.of_nat (nth (readout P) x 0%nat)) = true)
      by now rewrite Z.land_spec, Q1, Q2.
    rewrite T, Z.bits_0 in B. discriminate.
Qed.

(** Of correct inputs, or of wrong ones. *)
Lemma add_disjoint_weights : forall (count : entry_of_tally -> Z) (good : list nat -> Prop) entries, all_disjoint entries = true ->
  Forall (fun e => weigh_at_least P (count e) (fun x => good x /\ of_cell P e x)) entries ->
  exists xs, NoDup xs /\ Forall (fun x => 0 < weight_of_input (allowed P) x /\ good x) xs /\
    add_up (map count entries) <= total_weight (allowed P) xs /\ Forall (fun x => Exists (fun e => of_cell P e x) entries) xs.
Proof.
  intros count good. induction entries as [|e entries IH]; intros T all.
  - exists []. repeat split; try constructor. cbn. lia.
  - cbn in T. apply andb_prop in T. destruct T as [T1 T2]. inversion all as [|? ? (xs & U & each & many) rest]; subst.
    destruct (IH T2 rest) as (xs' & U' & each' & many' & where'). exists (xs ++ xs'). rewrite Forall_forall in each. split; [|split; [|split]].
    + apply NoDup_app_disjoint; [assumption | assumption|]. intros x I J. rewrite Forall_forall in where'. specialize (where' x J).
      rewrite Exists_exists in where'. destruct where' as (e' & K & there). rewrite forallb_forall in T1.
      destruct (each x I) as (_ & _ & here). exact (disjoint_sound e e' x (T1 e' K) here there).
    + apply Forall_app. split; [|assumption]. apply Forall_forall. intros x I. destruct (each x I) as (pos & A & _). now split.
    + cbn [map add_up]. rewrite total_weight_app. lia.
    + apply Forall_app. split.
      * apply Forall_forall. intros x I. constructor. destruct (each x I) as (_ & _ & here). exact here.
      * revert where'. apply Forall_impl. intros x X. now apply Exists_cons_tl.
Qed.

Theorem total_of_weights_sound : forall margin premises f, Forall (means w P margin) premises ->
  total_of_weights premises = Fine f -> means w P margin f.
Proof.
  intros margin premises f all E. unfold total_of_weights in E. apply require_fine in E. destruct E as [_ E].
  destruct (counts_of premises) as [entries|] eqn:F; [|discriminate].
  apply require_fine in E. destruct E as [cells E]. apply require_fine in E. destruct E as [T E]. apply fine_eq in E. subst f.
  apply disjoint_by_label_all in T.
  2:{ intros e I. rewrite forallb_forall in cells. specialize (cells e I). unfold is_cell in cells. rewrite !andb_true_iff, Z.leb_le, Z.ltb_lt in cells. lia. }
  pose proof (counts_true margin premises entries all F) as true_. cbn [means]. split.
  - destruct (add_disjoint_weights right (answered (layer_of w) P margin) entries T) as (xs & U & each & many & _); [|exists xs; now repeat split].
    revert true_. apply Forall_impl. intros e [R _]. exact R.
  - destruct (add_disjoint_weights missed (fun x => ~ answered (layer_of w) P margin x) entries T) as (xs & U & each & many & _); [|exists xs; now repeat split].
    revert true_. apply Forall_impl. intros e [_ M]. exact M.
Qed.
End Total.
